module slipway/tests/cluster/pause

go 1.24
