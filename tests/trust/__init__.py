"""What the promises on trust rest on, run as programs: each prints what it found."""
