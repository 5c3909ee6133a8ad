"""Segments are planned where they are switched on, for every data set that is not pretraining's."""

import yaml


def test_segments_are_made_only_where_they_are_enabled(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    plans = []
    for enabled in (True, False):
        path = checkout.root / "switched.yaml"
        path.write_text(yaml.safe_dump(values | {"segments": {"enabled": enabled}}))
        plans.append(checkout.dry_run("--configfile", path.name))
    on, off = plans
    assert on.jobs["segments"] >= on.jobs["shards"] - on.jobs.get("pretrain", 0) > 0
    assert "segments" not in off.jobs
    assert {name: count for name, count in on.jobs.items() if name != "segments"} == off.jobs
    about = [text for text in on.messages if text.startswith("Finding arcs")]
    assert len(about) == on.jobs["segments"]
    assert not any("galaxiesml" in text for text in about)
