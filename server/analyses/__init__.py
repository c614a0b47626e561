"""Analyses: jobs that outlive their watchers, told as streams of events."""
