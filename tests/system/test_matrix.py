"""Each MTA against each fault of a receiver (lab/matrix.py); one run, a test for each cell."""

import pytest
from lab import matrix


@pytest.fixture(scope="module")
def cells(world):
    return {(cell.row.name, cell.mta): cell for cell in matrix.play(world)}


@pytest.mark.parametrize("mta", matrix.MTAS)
@pytest.mark.parametrize("row", matrix.ROWS, ids=lambda row: row.name.replace(", ", "-").replace(" ", "-"))
def test_cell(cells, row, mta):
    cell = cells[row.name, mta]
    assert cell.right, f"{cell.fate}: {cell.told}"
