"""Messages to chat rooms, through Apprise where that extra is installed. Rooms come from settings alone."""
