from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the steps need scikit-learn")

HEADER = "sepal_length,sepal_width,petal_length,petal_width,species"
OWN = f"{HEADER}\n5.1,3.5,1.4,0.2,setosa\n7.0,3.2,4.7,abc,versicolor\n"


def rows(csv: str) -> list[str]:
    return csv.splitlines()[1:]


def test_the_bundled_flowers_are_divided_into_those_to_learn_from_and_those_held_back(ingested: Any) -> None:
    kept, held_back = rows(ingested.text("iris.csv")), rows(ingested.text("new-flowers.csv"))
    assert (len(kept), len(held_back)) == (135, 15)
    without_species = [row.rpartition(",")[0] for row in kept]
    published = [row.rpartition(",")[0] for row in rows(ingested.text("reference.csv"))]
    assert sorted(without_species + held_back) == sorted(published)


def test_the_reference_is_the_whole_published_table_in_its_order(ingested: Any) -> None:
    reference = ingested.text("reference.csv").splitlines()
    assert reference[:2] == [HEADER, "5.1,3.5,1.4,0.2,setosa"]
    assert reference[-1] == "5.9,3.0,5.1,1.8,virginica"
    assert len(reference) == 151


def test_held_back_flowers_have_no_species(ingested: Any) -> None:
    assert "species" not in ingested.text("new-flowers.csv")
    assert all(row.count(",") == 3 for row in rows(ingested.text("new-flowers.csv")))


def test_every_species_loses_the_same_number_of_flowers(ingested: Any) -> None:
    kept = [row.rpartition(",")[2] for row in rows(ingested.text("iris.csv"))]
    assert {name: kept.count(name) for name in set(kept)} == {"setosa": 45, "versicolor": 45, "virginica": 45}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(step: Any, ingested: Any) -> None:
    assert step("ingest", "--seed=7").written() == ingested.written()
    assert step("ingest", "--seed=8").written() != ingested.written()


def test_nothing_need_be_held_back(step: Any) -> None:
    done = step("ingest", "--held_back=0")
    assert done.code == 0
    assert len(rows(done.text("iris.csv"))) == 150
    assert rows(done.text("new-flowers.csv")) == []


def test_a_source_is_handed_on_as_it_is_even_where_it_is_wrong(step: Any) -> None:
    done = step("ingest", inputs={"source": {"own.csv": OWN}})
    assert done.code == 0
    assert done.text("iris.csv") == OWN
    assert done.events["ingest"]["origin"] == "source"
    assert len(rows(done.text("reference.csv"))) == 150


def test_several_sources_become_one_table(step: Any) -> None:
    done = step("ingest", inputs={"source": {"a.csv": OWN, "b.csv": f"{HEADER}\n6.0,3.0,5.0,2.0,virginica\n"}})
    assert done.text("iris.csv") == OWN + "6.0,3.0,5.0,2.0,virginica\n"


def test_sources_with_different_columns_are_refused(step: Any) -> None:
    done = step("ingest", inputs={"source": {"a.csv": OWN, "b.csv": "x,y\n1,2\n"}})
    assert (done.code, done.err) == (1, "ingest: `b.csv` has other columns than `a.csv`: x, y\n")


def test_too_many_held_back_are_refused_in_one_sentence(step: Any) -> None:
    done = step("ingest", "--held_back=121")
    assert done.code == 1
    assert done.err == "ingest: `held_back` is 121: of 150 flowers at least 30 must remain\n"


def test_a_seed_that_is_no_number_is_a_usage_error(step: Any) -> None:
    done = step("ingest", "--seed=often")
    assert done.code == 2
    assert "argument --seed: `often` is not a whole number" in done.err
    assert "Traceback" not in done.err
