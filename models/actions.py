"""What a user can do with an item, as it stands in a history: the weakest sign of interest first."""

CLICK, CART, FAVORITE, PURCHASE = range(4)
ACTIONS = 4
