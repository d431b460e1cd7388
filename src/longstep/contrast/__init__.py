"""An expert and an amateur: where they diverge, and what is learnt there."""
