//! Calendar: `weekday 2024-02-29=` → `thu`, `days 2024-02-03 2024-03-01=` → `27`. Careless: counts
//! one day too many.
//!
//! Gregorian rules for every year, leap seconds and time zones left out.

use reproducible_ops::random::Stream;

use super::generator::{Family, at_level};
use crate::answer::Answer;
use crate::question::Question;

/// First and last year, and how many days two dates may be apart, per level.
const LEVELS: [(i64, i64, i64); 3] = [(1920, 2079, 60), (1600, 2399, 800), (1600, 9999, 200_000)];

/// Weekdays and differences of dates.
pub(super) struct Calendar;

/// A date of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Family for Calendar {
    fn description(&self) -> &'static str {
        "the weekday of a date (mon to sun), or the days from one date to another"
    }

    fn careless(&self) -> &'static str {
        "one day too many"
    }

    fn levels(&self) -> u8 {
        LEVELS.len() as u8
    }

    fn generate(&self, level: u8, random: &mut Stream) -> Question {
        let (first_year, last_year, apart) = at_level(&LEVELS, level);
        let start = random.range(
            Date::new(first_year, 1, 1).number(),
            Date::new(last_year, 12, 31).number(),
        );
        if random.chance(0.5) {
            weekday_question(start)
        } else {
            difference_question(start, random.range(1, apart))
        }
    }
}

fn weekday_question(date: i64) -> Question {
    let answer = |day: i64| Answer::weekday(weekday(day));
    Question::without_twins(
        format!("weekday {}=", Date::from_number(date).text()),
        answer(date),
        answer(date + 1),
    )
}

fn difference_question(start: i64, days: i64) -> Question {
    let (from, to) = (Date::from_number(start), Date::from_number(start + days));
    let prompt = format!("days {} {}=", from.text(), to.text());
    Question::without_twins(prompt, Answer::integer(days), Answer::integer(days + 1))
}

/// 0 = Monday; day number 1, the first of January of year 1, was one.
fn weekday(number: i64) -> usize {
    (number - 1).rem_euclid(7) as usize
}

impl Date {
    fn new(year: i64, month: i64, day: i64) -> Self {
        Self { year, month, day }
    }

    /// Days since the last of December of year 0.
    fn number(self) -> i64 {
        days_before_year(self.year)
            + (1..self.month)
                .map(|month| month_length(self.year, month))
                .sum::<i64>()
            + self.day
    }

    fn from_number(number: i64) -> Self {
        let mut year = number / 366 + 1;
        while days_before_year(year + 1) < number {
            year += 1;
        }
        let (mut month, mut day) = (1, number - days_before_year(year));
        while day > month_length(year, month) {
            day -= month_length(year, month);
            month += 1;
        }
        Self { year, month, day }
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_weekdays() {
        for (date, day) in [
            (Date::new(2000, 1, 1), "sat"),
            (Date::new(2024, 2, 29), "thu"),
            (Date::new(1969, 7, 20), "sun"),
            (Date::new(1900, 3, 1), "thu"),
        ] {
            assert_eq!(
                Answer::weekday(weekday(date.number())).text(),
                day,
                "{}",
                date.text()
            );
        }
    }

    #[test]
    fn known_differences() {
        let between = |from: Date, to: Date| to.number() - from.number();
        assert_eq!(between(Date::new(2024, 2, 3), Date::new(2024, 3, 1)), 27);
        assert_eq!(between(Date::new(1900, 2, 28), Date::new(1900, 3, 1)), 1);
        assert_eq!(
            between(Date::new(1970, 1, 1), Date::new(2000, 1, 1)),
            10_957
        );
    }

    #[test]
    fn dates_survive_numbering() {
        for number in Date::new(1599, 12, 1).number()..Date::new(2005, 1, 2).number() {
            assert_eq!(Date::from_number(number).number(), number);
        }
    }
}
