"""Reinforcement learning: rollouts, rewards, and the rules that watch them."""
