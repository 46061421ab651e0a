"""What is plugged into what: the graph of a snapshot, its drawings, and its forms for other programs."""
