"""From records to an artifact folder."""
