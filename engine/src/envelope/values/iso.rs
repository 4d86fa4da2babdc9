//! ISO 8601 text, scanned once: dates, times of day, offsets.
//!
//! Years may have a sign and more than four digits, as Java writes them: infinities come that way.
//! The scanner knows no limits of types; `times` does.

use super::Read;

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// A place in a text.
pub struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    /// At the text's start.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Steps over one of these bytes.
    pub fn eat(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        bytes.contains(first).then(|| self.rest = rest).map(|()| *first)
    }

    /// Reads between `least` and `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.rest.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some(digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
    }

    /// `[+-]YYYY-MM-DD` as days since 1970-01-01.
    pub fn date(&mut self) -> Option<i64> {
        let sign = self.eat(b"+-");
        let year = self.digits(4, 9)?;
        let year = if sign == Some(b'-') { -year } else { year };
        self.eat(b"-")?;
        let month = self.digits(2, 2).filter(|m| (1..=12).contains(m))?;
        self.eat(b"-")?;
        let day = self.digits(2, 2).filter(|d| (1..=month_days(year, month)).contains(d))?;
        Some(days(year, month, day))
    }

    /// `HH:MM[:SS[.fraction]]` as microseconds of the day; `24:00:00` is its end.
    ///
    /// Fails where the fraction is finer than microseconds, which is all that PostgreSQL has.
    pub fn time(&mut self) -> Read<Option<i64>> {
        let Some((hour, minute, second)) = self.clock() else { return Ok(None) };
        let mut micros = ((hour * 60 + minute) * 60 + second) * 1_000_000;
        if self.eat(b".,").is_some() {
            let before = self.rest.len();
            let Some(fraction) = self.digits(1, 6) else { return Ok(None) };
            let missing = 6 - (before - self.rest.len());
            micros += fraction * 10i64.pow(u32::try_from(missing).unwrap_or(0));
            while let Some(digit) = self.eat(b"0123456789") {
                if digit != b'0' {
                    return Err("a time finer than microseconds".into());
                }
            }
        }
        Ok(Some(micros).filter(|micros| *micros <= DAY_US))
    }

    fn clock(&mut self) -> Option<(i64, i64, i64)> {
        let hour = self.digits(2, 2).filter(|h| *h <= 24)?;
        self.eat(b":")?;
        let minute = self.digits(2, 2).filter(|m| *m < 60)?;
        let second = match self.eat(b":") {
            Some(_) => self.digits(2, 2).filter(|s| *s < 60)?,
            None => 0,
        };
        Some((hour, minute, second))
    }

    /// `Z`, `+HH`, `+HHMM`, `+HH:MM[:SS]` as seconds east; `None` where there is none.
    pub fn offset(&mut self) -> Option<i64> {
        if self.eat(b"Zz").is_some() {
            return Some(0);
        }
        let sign = if self.eat(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.digits(2, 2).filter(|h| *h <= 18)?;
        let mut seconds = hours * 3600;
        for unit in [60, 1] {
            let is_separated = self.eat(b":").is_some();
            match self.digits(2, 2).filter(|n| *n < 60) {
                Some(n) => seconds += n * unit,
                None if is_separated => return None,
                None => break,
            }
        }
        Some(sign * seconds)
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (the era arithmetic is that of
/// H. Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn month_days(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
