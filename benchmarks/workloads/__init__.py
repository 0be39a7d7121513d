"""How long the users' workloads take, by several ways of scheduling, over ideal greedy scheduling."""
