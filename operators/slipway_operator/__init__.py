"""Turns Slipway's custom resources into KubeRay's, and what happens to those into words."""
