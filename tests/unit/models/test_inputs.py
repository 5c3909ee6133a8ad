"""What a model is fed: the stretch, the residuals, the masks, and the observing conditions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import GREY, conditioned
from training_toy import alternating, toy_images, toy_table

from lenshunt.models import CONDITIONS, Normalisation, condition_table
from lenshunt.models.conditions import ConditionEncoder
from lenshunt.models.inputs import ImageInput, asinh, background_sigma, colour_residual


def pictures(image, variance, flags, **more) -> dict:
    return {"image": image, "variance": variance, "band_flags": flags, **more}


def test_an_image_of_another_depth_looks_alike_in_units_of_its_noise():
    image, variance = (torch.from_numpy(a) for a in toy_images(alternating(4)))
    flags = torch.tensor([[1.0, 1, 1, 1, 0]]).repeat(4, 1)
    reference = ImageInput(GREY, True)(pictures(image, variance, flags))
    deeper = ImageInput(GREY, True)(pictures(image * 7, variance * 49, flags))
    torch.testing.assert_close(deeper, reference, atol=1e-5, rtol=1e-5)


def test_a_smoothed_image_is_as_deep_as_it_was():
    image = torch.randn(2, 5, 32, 32)
    variance, flags = torch.ones(2, 5, 32, 32), torch.ones(2, 5)
    sharp = ImageInput(GREY, True)(pictures(image, variance, flags, noise_corr=torch.ones(2, 5)))
    # of 25 pixels together the noise is the same, of each a fifth
    smoothed = pictures(image, variance / 25, flags, noise_corr=torch.full((2, 5), 25.0))
    torch.testing.assert_close(ImageInput(GREY, True)(smoothed), sharp)


def test_the_stretch_turns_at_the_softening_in_units_of_white_noise():
    grid = {"size_px": 32, "pixel_scale_arcsec": 0.168}
    matched = Normalisation(
        band_sigma_njy=(0.5,) * 5, band_white_sigma_njy=(2.0,) * 5, softening=4.0, **grid
    )
    image, variance = torch.full((1, 5, 32, 32), 8.0), torch.full((1, 5, 32, 32), 0.25)
    correlated = pictures(image, variance, torch.ones(1, 5), noise_corr=torch.full((1, 5), 16.0))
    channels = ImageInput(matched, False)(correlated)
    torch.testing.assert_close(channels[:, :5], torch.full((1, 5, 32, 32), np.arcsinh(1.0)))


def test_bands_that_no_training_image_had_are_not_looked_at():
    image, variance, flags = torch.randn(2, 5, 32, 32), torch.ones(2, 5, 32, 32), torch.ones(2, 5)
    three = replace(GREY, bands_unseen=("z", "y"))
    found = ImageInput(three, True)(pictures(image, variance, flags))
    flags[:, 3:] = 0
    torch.testing.assert_close(found, ImageInput(GREY, True)(pictures(image, variance, flags)))


def test_a_colour_is_of_neighbours_among_the_bands_seen_and_one_band_has_none():
    image, variance, flags = torch.randn(2, 5, 32, 32), torch.ones(2, 5, 32, 32), torch.ones(2, 5)
    apart = replace(GREY, bands_unseen=("r", "z", "y"))
    found = ImageInput(apart, True)(pictures(image, variance, flags))
    pair = colour_residual(image[:, [0, 2]], variance[:, [0, 2]], 0.168)
    torch.testing.assert_close(found[:, 10:11], asinh(pair))
    assert found[:, 11:14].abs().max() == 0
    alone = replace(GREY, bands_unseen=("g", "r", "z", "y"))
    found = ImageInput(alone, True)(pictures(image, variance, flags))
    assert found[:, 10:14].abs().max() == 0
    torch.testing.assert_close(found[:, 2], asinh(image[:, 2]))
    assert (found[:, 16] == 1).all()


def test_colours_survive_a_difference_in_depth_between_bands():
    image = torch.full((1, 5, 32, 32), 0.01)
    variance = torch.ones(1, 5, 32, 32) * torch.tensor([1.0, 4, 4, 9, 1])[None, :, None, None]
    channels = ImageInput(GREY, False)(pictures(image, variance, torch.ones(1, 5)))
    torch.testing.assert_close(channels[:, 0], channels[:, 3])


def test_a_symmetric_galaxy_vanishes_from_the_residual_channels():
    y, x = torch.meshgrid(torch.arange(32.0) - 15.5, torch.arange(32.0) - 15.5, indexing="ij")
    galaxy = 50 * torch.exp(-(x**2 + 2 * y**2 + x * y) / 40)
    image = galaxy.repeat(1, 5, 1, 1)
    channels = ImageInput(GREY, True)(pictures(image, torch.ones_like(image), torch.ones(1, 5)))
    assert channels[:, :5].max() > 4
    assert channels[:, 5:10].abs().max() < 1e-5


def test_what_has_the_deflectors_colour_vanishes_from_the_colour_residuals_and_an_arc_stays():
    y, x = torch.meshgrid(torch.arange(32.0) - 15.5, torch.arange(32.0) - 15.5, indexing="ij")
    # two red galaxies of one colour, and a blue arc outside of the centre
    galaxies = torch.exp(-(x**2 + 2 * y**2 + x * y) / 40) + torch.exp(-((x - 11) ** 2 + y**2) / 9)
    colour = torch.tensor([10.0, 30.0, 50.0, 60.0, 70.0])[None, :, None, None]
    image = galaxies * colour
    model, places = ImageInput(GREY, True), slice(10, 14)
    plain = model(pictures(image, torch.ones_like(image), torch.ones(1, 5)))
    assert plain[:, :5].amax(dim=(2, 3)).min() > 2
    assert plain[:, places].abs().max() < 1e-4
    arc = torch.exp(-((x + 10) ** 2 + (y - 8) ** 2) / 6)
    with_arc = model(pictures(image + 5 * arc, torch.ones_like(image), torch.ones(1, 5)))
    found = with_arc[0, places]
    # blue less 1 / 3 of red, with the noise of both
    expected = np.arcsinh(5 * (1 - 1 / 3) / np.sqrt(1 + 1 / 9))
    assert float(found[0].max()) == pytest.approx(expected, rel=0.05)
    row, column = divmod(int(found[0].argmax()), 32)
    assert row in (23, 24)
    assert column in (5, 6)
    assert found[:, :, 20:].abs().max() < 0.05


def test_noise_in_a_colour_residual_is_noise_of_one():
    torch.manual_seed(1)
    y, x = torch.meshgrid(torch.arange(64.0) - 31.5, torch.arange(64.0) - 31.5, indexing="ij")
    galaxy = 40 * torch.exp(-(x**2 + y**2) / 40) * torch.tensor([1.0, 3, 5, 5, 5])[:, None, None]
    image = galaxy + torch.randn(64, 5, 64, 64)
    residual = colour_residual(image, torch.ones_like(image), 0.168)
    assert residual.std(dim=(0, 2, 3)).numpy() == pytest.approx(np.ones(4), rel=0.02)


def test_unusable_pixels_and_their_mirror_images_have_no_residual():
    image = torch.randn(1, 5, 32, 32)
    variance = torch.ones_like(image)
    variance[0, 2, 4, 7] = torch.inf
    channels = ImageInput(GREY, True)(pictures(image, variance, torch.ones(1, 5)))
    assert channels[0, 2, 4, 7] == channels[0, 7, 4, 7] == channels[0, 7, 27, 24] == 0
    # nor has the colour of two bands of which one is unusable there
    assert channels[0, 11, 4, 7] == channels[0, 12, 4, 7] == 0
    assert channels[0, 16, 4, 7] == 0
    assert channels[0, 16].sum() == 32 * 32 - 1


def test_a_band_that_is_flagged_absent_is_not_looked_at():
    image, variance = torch.randn(2, 5, 32, 32), torch.ones(2, 5, 32, 32)
    flags = torch.tensor([[1.0, 1, 1, 1, 0]] * 2)
    changed = image.clone()
    changed[:, 4] += 100
    model = ImageInput(GREY, True)
    seen = [model(pictures(one, variance, flags)) for one in (image, changed)]
    assert torch.equal(*seen)


def test_background_sigma_ignores_the_photon_noise_of_a_bright_object():
    variance = torch.full((1, 1, 64, 64), 4.0)
    variance[..., 24:40, 24:40] = 4000.0
    sigma = background_sigma(variance, torch.isfinite(variance))
    assert float(sigma) == pytest.approx(2.0, rel=0.04)


def test_fast_asinh_agrees_with_the_library_one():
    x = torch.cat([torch.linspace(-1e4, 1e4, 1001), torch.linspace(-1, 1, 1001)])
    assert (asinh(x) - torch.asinh(x.double())).abs().max() < 2e-6


def test_another_number_of_bands_is_an_error():
    with pytest.raises(ValueError, match="3 bands"):
        ImageInput(GREY, True)(
            pictures(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), torch.ones(1, 3))
        )


def test_conditions_are_nan_where_the_catalogue_has_nothing():
    table = toy_table(alternating(3), bands=("g", "HSC_R", "F814W", "", ""), z_spec=-1.0)
    values = dict(zip(CONDITIONS, condition_table(table).T, strict=True))
    assert np.isnan(values["log_seeing"]).all()
    assert np.isnan(values["log_1_plus_z"]).all()
    assert np.isnan(values["magnitude_y"]).all()
    assert np.isnan(values["log_wavelength_y"]).all()
    np.testing.assert_allclose(10 ** values["log_wavelength_i"], 0.80, atol=0.03)
    np.testing.assert_allclose(10 ** values["log_pixel_scale"], 0.168, rtol=1e-6)


def test_the_spectroscopic_redshift_comes_before_the_photometric_one():
    table = toy_table(alternating(2), z_phot=0.5, z_spec=0.9)
    z = condition_table(table)[:, CONDITIONS.index("log_1_plus_z")]
    np.testing.assert_allclose(10**z - 1, 0.9, rtol=1e-5)


def test_a_missing_condition_is_not_the_same_as_any_number():
    encoder = ConditionEncoder(conditioned(), width=16, hide=0.0)
    known = torch.zeros(1, len(CONDITIONS))
    missing = known.clone()
    missing[0, 3] = torch.nan
    assert torch.isfinite(encoder(missing)).all()
    assert not torch.allclose(encoder(missing), encoder(known))
    before = encoder(missing)
    with torch.no_grad():
        encoder.missing[3] += 1.0
    assert not torch.allclose(encoder(missing), before)


def test_a_hidden_condition_changes_nothing():
    encoder = ConditionEncoder(conditioned(conditions_hidden=("log_snr",)), width=16, hide=0.0)
    values = torch.zeros(1, len(CONDITIONS))
    other = values.clone()
    other[0, CONDITIONS.index("log_snr")] = 3.0
    assert torch.equal(encoder(values), encoder(other))


def test_normalisation_survives_a_checkpoint():
    assert Normalisation.from_dict(conditioned().to_dict()) == conditioned()


def test_normalisation_without_a_positive_sigma_is_refused():
    with pytest.raises(ValueError, match="must all be positive"):
        conditioned(band_sigma_njy=(1.0, 0.0, 1.0, 1.0, 1.0))
