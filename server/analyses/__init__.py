"""What a person asks for: analyses, as streams of events that outlive their watchers."""
