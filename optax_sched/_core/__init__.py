"""What a schedule is: how it is built, stored, called and printed."""
