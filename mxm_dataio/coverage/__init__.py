"""What goes past a session: connections, processes and libraries that it can't see."""
