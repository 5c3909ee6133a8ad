"""Depth, seeing and sky of surveys whose yields of lenses are published."""

from lenshunt.scenes.selection import Band, Survey

_G_UM, _R_UM = 0.48, 0.62
#: Ten-year LSST: Ivezic et al. 2019, ApJ 873, 111 (seeing as in Collett's table of his coadds);
#: HSC Wide: Aihara et al. 2018, PASJ 70, S4 (point sources); Euclid VIS: Euclid Collaboration:
#: Mellier et al. 2025, A&A 697, A1; DES DR2: Abbott et al. 2021, ApJS 255, 20 (at 10 sigma).
#: Skies: Collett 2015's code.
SURVEYS = {
    "lsst": Survey(
        0.93, 26.8, 20.1, (Band(_G_UM, 0.93, 27.4, 21.7), Band(_R_UM, 0.93, 27.5, 20.7))
    ),
    "hsc": Survey(0.60, 26.2, 20.1, (Band(_G_UM, 0.77, 26.8, 21.7), Band(_R_UM, 0.76, 26.4, 20.7))),
    "euclid": Survey(0.18, 26.2, 22.2),
    "des": Survey(
        0.88, 24.55, 20.1, (Band(_G_UM, 1.11, 25.45, 21.7), Band(_R_UM, 0.95, 25.15, 20.7))
    ),
}
