"""``longstep init``: a first recipe for rows of one's own, with what was seen of them beside each choice."""

from longstep.run.init.look import Seen, look
from longstep.run.init.write import lines_of, recipe_text

__all__ = ["Seen", "lines_of", "look", "recipe_text"]
