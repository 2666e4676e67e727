from probes.journey.keeping import MAX_CONNECTIONS, Keeping, Place

FACTS = {"address": "192.0.2.1"}


def place(number: int) -> Place:
    return Place(f"http://h{number}.test", "", is_foreign=True)


def test_facts_are_those_of_the_dial_as_long_as_the_connection_lives() -> None:
    keeping: Keeping[int] = Keeping(lambda _: None)
    keeping.keep(place(0), 0)
    keeping.about(place(0), FACTS)
    for number in range(1, 100):
        keeping.keep(place(number), number)
        keeping.about(place(number), {"address": str(number)})
        keeping.drop(place(number))

    assert keeping.about(place(0), {}) == FACTS
    # nothing is left of all the hosts that a target has sent us to
    assert len(keeping._facts) == 2


def test_who_was_longest_unused_makes_room() -> None:
    closed: list[int] = []
    keeping: Keeping[int] = Keeping(closed.append)
    for number in range(MAX_CONNECTIONS):
        keeping.keep(place(number), number)
    assert keeping.find(place(0)) == 0

    keeping.keep(place(9), 9)

    assert closed == [1]
    keeping.close()
    assert sorted(closed) == [0, 1, 2, 3, 9]
