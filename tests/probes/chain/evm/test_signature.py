import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.evm.signature import checksummed, parse_address, parse_hash, topic0


@pytest.mark.parametrize(
    ("signature", "topic"),
    [
        pytest.param(
            "Transfer(address,address,uint256)",
            "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
            id="erc-20",
        ),
        pytest.param(
            "Paused(address)",
            "0x62e78cea01bee320cd4e420270b5ea74000d11b0c9f74754ebdbfc544b05a258",
            id="pausable",
        ),
        pytest.param(
            "TransferBatch(address,address,address,uint256[],uint256[])",
            "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb",
            id="arrays",
        ),
    ],
)
def test_the_topic_of_an_event_is_that_of_the_compiler(signature: str, topic: str) -> None:
    assert topic0(signature) == topic


@pytest.mark.parametrize(
    "signature",
    ["A()", "_a$1(bool)", "A((uint8,bytes32)[3][],string)", "A(())", "A(ufixed128x18,function)"],
)
def test_every_canonical_type_is_taken(signature: str) -> None:
    assert len(topic0(signature)) == 66


TYPES = "want types alone, without names, indexed or spaces, got "
EVENT = "want an event such as Transfer(address,address,uint256), got "


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        pytest.param("Transfer", EVENT + "'Transfer'", id="no types"),
        pytest.param("", EVENT + "''", id="nothing"),
        pytest.param("event A(bool)", EVENT + "'event A(bool)'", id="the word event"),
        pytest.param("A(bool);", EVENT + "'A(bool);'", id="a semicolon"),
        pytest.param(
            "A(uint)",
            "want the type uint256, which is what is hashed, got 'uint' in 'A(uint)'",
            id="a short form",
        ),
        pytest.param(
            "A(int[])",
            "want the type int256, which is what is hashed, got 'int' in 'A(int[])'",
            id="a short form in an array",
        ),
        pytest.param(
            "A(address owner)", TYPES + "'address owner' in 'A(address owner)'", id="a name"
        ),
        pytest.param(
            "A(address indexed)", TYPES + "'address indexed' in 'A(address indexed)'", id="indexed"
        ),
        pytest.param("A(bool, bool)", TYPES + "' bool' in 'A(bool, bool)'", id="a space"),
        pytest.param("A(bool,)", TYPES + "'' in 'A(bool,)'", id="a comma too many"),
        pytest.param("A(uint7)", TYPES + "'uint7' in 'A(uint7)'", id="no whole bytes"),
        pytest.param("A(uint264)", TYPES + "'uint264' in 'A(uint264)'", id="too many bits"),
        pytest.param("A(uint08)", TYPES + "'uint08' in 'A(uint08)'", id="a leading zero"),
        pytest.param("A(bytes33)", TYPES + "'bytes33' in 'A(bytes33)'", id="too many bytes"),
        pytest.param("A(fixed128x81)", TYPES + "'fixed128x81' in 'A(fixed128x81)'", id="decimals"),
        pytest.param("A(bool[x])", TYPES + "'bool[x]' in 'A(bool[x])'", id="no array"),
        pytest.param("A(Profile)", TYPES + "'Profile' in 'A(Profile)'", id="a struct by name"),
        pytest.param("A((bool)x)", TYPES + "'(bool)x' in 'A((bool)x)'", id="behind a tuple"),
        pytest.param("A((bool)", "want as many ( as ), got 'A((bool)'", id="one ( too many"),
        pytest.param("A(bool))", "want as many ( as ), got 'A(bool))'", id="one ) too many"),
        pytest.param(
            "A" + 17 * "(" + 17 * ")",
            "want at most 16 tuples in each other, got more",
            id="too deep",
        ),
    ],
)
def test_a_signature_that_would_hash_to_nobodys_topic_is_refused(
    signature: str, message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        topic0(signature)

    assert str(caught.value) == message


@given(st.text(alphabet="Aau(),[]0123456789 bytesintmol", max_size=60))
def test_any_text_is_a_topic_or_refused(text: str) -> None:
    try:
        topic = topic0(text)
    except ValueError:
        return

    assert parse_hash(topic) == topic


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_the_addresses_of_eip_55_are_right(address: str) -> None:
    assert checksummed(address.lower()) == address
    assert parse_address(address) == address.lower()
    assert parse_address(address.lower()) == address.lower()
    assert parse_address("0x" + address[2:].upper()) == address.lower()


def test_a_wrong_digit_in_mixed_case_is_told_with_the_right_checksum() -> None:
    with pytest.raises(ValueError, match=r"want the checksum 0x") as caught:
        parse_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee")

    told = str(caught.value)
    right = told.split()[3]
    assert parse_address(right) == "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaee"
    assert told.endswith("(or all lower case), got '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee'")


@pytest.mark.parametrize(
    "value", ["", "0x12", 12, None, "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]
)
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"want an address: 0x and 40 hex digits, in quotes, got"):
        parse_address(value)


@pytest.mark.parametrize("value", ["0x", "0x" + "g" * 64, "ab" * 32, 7, None])
def test_what_is_no_hash_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"want a hash: 0x and 64 hex digits, got"):
        parse_hash(value)
