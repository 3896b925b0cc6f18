"""What the threads of a process share, and code that runs amid other code of its thread."""
