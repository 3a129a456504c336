"""Fine-tune jobs: asked for, estimated, queued, run, harvested."""
