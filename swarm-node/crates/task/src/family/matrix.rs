//! Binary matrices: `rows 1011 0010 1100=` → `3 1 2`, `columns …`, `islands …`.
//! Careless: columns for rows, rows for columns, and islands that touch at corners counted as one.

use reproducible_ops::random::Stream;

use super::generator::{Family, ascending, at_level};
use crate::answer::Answer;
use crate::question::Question;

/// Rows and columns, per level.
const LEVELS: [(usize, usize); 4] = [(3, 5), (4, 6), (6, 8), (10, 12)];

/// Row sums, column sums, or the number of islands of ones.
pub(super) struct Matrix;

/// Rows of equal length, one at least.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grid(Vec<Vec<bool>>);

impl Family for Matrix {
    fn description(&self) -> &'static str {
        "row sums, column sums, or the number of islands (ones that touch at edges) of a binary \
         matrix"
    }

    fn careless(&self) -> &'static str {
        "columns for rows, rows for columns, islands that touch at corners counted as one"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (rows, columns) = at_level(&LEVELS, level);
        let grid = Grid(
            (0..rows)
                .map(|_| (0..columns).map(|_| random.chance(0.5)).collect())
                .collect(),
        );
        let sums = |of_rows: bool| {
            Answer::list(if of_rows {
                grid.row_sums()
            } else {
                grid.column_sums()
            })
        };
        let islands = |corners: bool| Answer::integer(grid.islands(corners));
        let (word, canonical, gold, careless) = match random.below(3) {
            0 => ("rows", grid.with_sorted_rows(), sums(true), sums(false)),
            1 => (
                "columns",
                grid.transposed().with_sorted_rows().transposed(),
                sums(false),
                sums(true),
            ),
            _ => (
                "islands",
                grid.least_reflection(),
                islands(false),
                islands(true),
            ),
        };
        let prompt = |grid: &Grid| format!("{word} {}=", grid.text());
        Question::with_twins(prompt(&grid), prompt(&canonical), gold, careless)
    }
}

impl Grid {
    fn text(&self) -> String {
        let row = |row: &Vec<bool>| {
            row.iter()
                .map(|cell| if *cell { '1' } else { '0' })
                .collect::<String>()
        };
        self.0.iter().map(row).collect::<Vec<_>>().join(" ")
    }

    /// The grid that stands for all with the same row sums.
    fn with_sorted_rows(&self) -> Self {
        Self(self.0.iter().map(|row| ascending(row)).collect())
    }

    fn transposed(&self) -> Self {
        let columns = 0..self.0[0].len();
        Self(
            columns
                .map(|at| self.0.iter().map(|row| row[at]).collect())
                .collect(),
        )
    }

    /// The grid that stands for its mirror images, which have as many islands.
    fn least_reflection(&self) -> Self {
        let upside_down = |grid: &Self| Self(grid.0.iter().rev().cloned().collect());
        let mirrored = Self(
            self.0
                .iter()
                .map(|row| row.iter().rev().copied().collect())
                .collect(),
        );
        let reflections = [upside_down(self), upside_down(&mirrored), mirrored];
        reflections.into_iter().fold(self.clone(), Self::min)
    }

    fn row_sums(&self) -> Vec<i64> {
        self.0
            .iter()
            .map(|row| row.iter().map(|cell| i64::from(*cell)).sum())
            .collect()
    }

    fn column_sums(&self) -> Vec<i64> {
        self.transposed().row_sums()
    }

    /// Connected groups of ones, found by flooding each in turn.
    fn islands(&self, corners: bool) -> i64 {
        let mut land: Vec<(i64, i64)> = self.land();
        let mut count = 0;
        while let Some(start) = land.pop() {
            count += 1;
            flood(start, &mut land, corners);
        }
        count
    }

    fn land(&self) -> Vec<(i64, i64)> {
        let cells = self
            .0
            .iter()
            .enumerate()
            .flat_map(|(y, row)| row.iter().enumerate().map(move |(x, cell)| (y, x, *cell)));
        cells
            .filter(|(_, _, cell)| *cell)
            .map(|(y, x, _)| (y as i64, x as i64))
            .collect()
    }
}

/// Removes from `land` everything connected to `start`.
fn flood(start: (i64, i64), land: &mut Vec<(i64, i64)>, corners: bool) {
    let mut open = vec![start];
    while let Some(cell) = open.pop() {
        let (reached, rest): (Vec<_>, Vec<_>) =
            land.iter().partition(|other| touch(cell, **other, corners));
        open.extend(reached);
        *land = rest;
    }
}

fn touch(a: (i64, i64), b: (i64, i64), corners: bool) -> bool {
    let (dy, dx) = ((a.0 - b.0).abs(), (a.1 - b.1).abs());
    if corners {
        dy.max(dx) == 1
    } else {
        dy + dx == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(rows: &[&str]) -> Grid {
        Grid(
            rows.iter()
                .map(|row| row.chars().map(|c| c == '1').collect())
                .collect(),
        )
    }

    #[test]
    fn sums_and_islands() {
        let grid = grid(&["1011", "0010", "1100"]);
        assert_eq!(grid.text(), "1011 0010 1100");
        assert_eq!(grid.row_sums(), [3, 1, 2]);
        assert_eq!(grid.column_sums(), [2, 1, 2, 1]);
        assert_eq!(grid.islands(false), 3);
        assert_eq!(grid.islands(true), 2);
    }

    #[test]
    fn canonical_grids_keep_the_answer() {
        let grid = grid(&["1011", "0010", "1100"]);
        let rows = grid.with_sorted_rows();
        assert_eq!(
            (rows.text().as_str(), rows.row_sums()),
            ("0111 0001 0011", grid.row_sums())
        );
        let columns = grid.transposed().with_sorted_rows().transposed();
        assert_eq!(
            (columns.text().as_str(), columns.column_sums()),
            ("0000 1010 1111", grid.column_sums())
        );
        let least = grid.least_reflection();
        assert_eq!(
            (least.text().as_str(), least.islands(false)),
            ("0011 0100 1101", 3)
        );
        assert_eq!(least.least_reflection(), least);
    }
}
