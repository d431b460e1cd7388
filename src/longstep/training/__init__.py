"""Training: rows, jobs, checkpoints and the trainers over TRL's hooks."""
