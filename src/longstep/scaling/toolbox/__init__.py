"""Tools that a model may call while it answers. One line in ``AnyTool`` for each member."""

from typing import Annotated

from longstep.config import Field
from longstep.scaling.toolbox.calculator import Calculator
from longstep.scaling.toolbox.outside import OutsideTool

AnyTool = Annotated[Calculator | OutsideTool, Field(discriminator="kind")]
