"""Models of a pair on a Ray cluster: each is a deployment of Ray Serve with replicas of its own."""
