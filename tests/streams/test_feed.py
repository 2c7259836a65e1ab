"""What is fed into a source looks like that source's own events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import ACTIONS, Interaction, InteractionDecoder
from streams.feed import encode_for
from streams.settings import Source, SourceFields

MAPPINGS = {
    "default": Source(),
    "renamed": Source(fields=SourceFields(user_id="customer", item_id="sku", timestamp="at", action="kind")),
    "nested": Source(
        fields=SourceFields(user_id="customer.id", item_id="product.sku", value="product.price")
    ),
    "lines": Source(fields=SourceFields(item_id="lines[].sku", value="lines[].amount", event_id="order.id")),
    "list of ids": Source(fields=SourceFields(item_id="order.skus[]")),
    "deep lines": Source(fields=SourceFields(item_id="order.lines[].product.sku")),
    "seconds": Source(timestamp_unit="seconds"),
    "milliseconds": Source(timestamp_unit="milliseconds"),
}
interactions = st.builds(
    Interaction,
    st.text(min_size=1, max_size=9),
    st.text(min_size=1, max_size=9),
    st.sampled_from(ACTIONS),
    st.integers(10**12, 2 * 10**12),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.text(min_size=1, max_size=9),
)


@pytest.mark.parametrize("name", MAPPINGS)
@given(interactions)
def test_a_source_reads_what_is_fed_to_it(name: str, interaction: Interaction) -> None:
    """Whatever a source's fields are called, its decoder reads the interaction that was encoded for it."""
    source = MAPPINGS[name]
    value = encode_for(source, interaction)
    key = interaction.user_id.encode()
    assert InteractionDecoder("orders", source).decode(key, value, interaction.timestamp_ms) == [interaction]
