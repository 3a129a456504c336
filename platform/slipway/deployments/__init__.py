"""Models that answer: deployments and the revisions behind them."""
