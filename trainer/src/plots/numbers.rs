//! Numbers as people read them.

/// `8612345` as `8,612,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `8612345` as `8.6 M`, `65536` as `65.5 k`, `512` as `512`.
pub fn short_count(number: u64) -> String {
    let value = number as f64;
    if number < 1_000 {
        number.to_string()
    } else if value < 999_950.0 {
        format!("{:.1} k", value / 1e3)
    } else if value < 999_950_000.0 {
        format!("{:.1} M", value / 1e6)
    } else {
        format!("{:.1} G", value / 1e9)
    }
}

/// A measured value with about three significant digits: `0.0413`, `1.27`, `135`; `–` when it is
/// not a finite number.
pub fn measured(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    let decimals = if size == 0.0 || size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else if size >= 0.1 {
        3
    } else if size >= 0.001 {
        4
    } else {
        return format!("{value:.1e}");
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_from_the_right() {
        let texts: Vec<String> = [0, 999, 1_000, 12_345, 8_612_345].map(grouped).into();
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "8,612,345"]);
    }

    #[test]
    fn short_counts_never_show_a_thousand_of_the_smaller_unit() {
        let texts: Vec<String> = [512, 65_536, 999_949, 999_951, 8_612_345, 999_951_000].map(short_count).into();
        assert_eq!(texts, ["512", "65.5 k", "999.9 k", "1.0 M", "8.6 M", "1.0 G"]);
    }

    #[test]
    fn measured_values_keep_about_three_digits() {
        let texts: Vec<String> = [0.0, 0.041_32, 0.413_2, 1.266, 13.49, 135.4, 2e-6, f64::NAN].map(measured).into();
        assert_eq!(texts, ["0", "0.0413", "0.413", "1.27", "13.5", "135", "2.0e-6", "–"]);
    }
}
