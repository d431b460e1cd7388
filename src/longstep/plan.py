def make_plan(recipe):
    raise NotImplementedError
