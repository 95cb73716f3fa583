//! What an administrator can set without code: environment variables, read with secure_getenv(3).

use fastestmirror::Ranker;
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// The variables `FASTESTMIRROR_*`, as read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// Every list keeps its order, and nothing is measured.
    pub(crate) off: bool,
    fallbacks: Option<usize>,
    factor: Option<f64>,
    slack: Option<Duration>,
    check_after: Option<Duration>,
}

impl Settings {
    /// Reads the environment. A wrong value is reported, in one sentence, and ignored.
    pub(crate) fn from_environment(report: impl FnMut(String)) -> Settings {
        Settings::read(variable, report)
    }

    fn read(variable: impl Fn(&CStr) -> Option<String>, mut report: impl FnMut(String)) -> Settings {
        let mut settings = Settings::default();
        let mut set = |name: &CStr, allowed: &str, accept: &mut dyn FnMut(&str) -> Option<()>| {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return };
            if accept(value.trim()).is_none() {
                let name = name.to_string_lossy();
                let start: String = value.chars().take(60).collect();
                report(format!("ignoring {name}={start:?}: it must be {allowed}"));
            }
        };
        set(c"FASTESTMIRROR_OFF", "0 or 1", &mut |value| {
            settings.off = match value {
                "0" => false,
                "1" => true,
                _ => return None,
            };
            Some(())
        });
        set(c"FASTESTMIRROR_FALLBACKS", "a whole number, or all", &mut |value| {
            settings.fallbacks = Some(if value == "all" { Ranker::ALL } else { value.parse().ok()? });
            Some(())
        });
        set(c"FASTESTMIRROR_FACTOR", "a number from 1 to 1000", &mut |value| {
            let factor = value.parse().ok()?;
            Ranker::new().factor(factor).ok()?;
            settings.factor = Some(factor);
            Some(())
        });
        set(c"FASTESTMIRROR_SLACK", "milliseconds from 0 to 60000", &mut |value| {
            let slack = Duration::try_from_secs_f64(value.parse::<f64>().ok()? / 1000.0).ok()?;
            Ranker::new().slack(slack).ok()?;
            settings.slack = Some(slack);
            Some(())
        });
        set(c"FASTESTMIRROR_CHECK_AFTER", "seconds from 0", &mut |value| {
            settings.check_after = Some(Duration::try_from_secs_f64(value.parse().ok()?).ok()?);
            Some(())
        });
        settings
    }

    pub(crate) fn apply(&self, ranker: &mut Ranker) {
        if let Some(fallbacks) = self.fallbacks {
            ranker.fallbacks(fallbacks);
        }
        // A ranker has accepted both values when they were read.
        if let Some(factor) = self.factor {
            let _ = ranker.factor(factor);
        }
        if let Some(slack) = self.slack {
            let _ = ranker.slack(slack);
        }
        if let Some(time) = self.check_after {
            ranker.check_after(time);
        }
    }
}

unsafe extern "C" {
    // Not in the libc crate.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

fn variable(name: &CStr) -> Option<String> {
    // SAFETY: a string. The result is valid until the environment changes, which no program may do
    // while another thread reads it; it is copied at once.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    // SAFETY: a string, since it is not NULL.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&CStr, &str)]) -> (Settings, Vec<String>) {
        let mut problems = Vec::new();
        let variable =
            |name: &CStr| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_string());
        let settings = Settings::read(variable, |problem| problems.push(problem));
        (settings, problems)
    }

    #[test]
    fn settings_are_read_from_their_variables() {
        assert_eq!(read(&[]), (Settings::default(), vec![]));
        let set = [
            (c"FASTESTMIRROR_OFF", "1"),
            (c"FASTESTMIRROR_FALLBACKS", "all"),
            (c"FASTESTMIRROR_FACTOR", " 1.5"),
            (c"FASTESTMIRROR_SLACK", "2.5"),
            (c"FASTESTMIRROR_CHECK_AFTER", "90.5"),
        ];
        let expected = Settings {
            off: true,
            fallbacks: Some(Ranker::ALL),
            factor: Some(1.5),
            slack: Some(Duration::from_micros(2500)),
            check_after: Some(Duration::from_millis(90_500)),
        };
        assert_eq!(read(&set), (expected, vec![]));
        assert_eq!(read(&[(c"FASTESTMIRROR_FALLBACKS", "0")]).0.fallbacks, Some(0));
        for (text, seconds) in [("0", 0), ("31536000", 31_536_000)] {
            let settings = read(&[(c"FASTESTMIRROR_CHECK_AFTER", text)]).0;
            assert_eq!(settings.check_after, Some(Duration::from_secs(seconds)));
        }
        // An empty variable counts as one that is not set.
        for name in [c"FASTESTMIRROR_OFF", c"FASTESTMIRROR_SLACK", c"FASTESTMIRROR_CHECK_AFTER"] {
            assert_eq!(read(&[(name, "")]), (Settings::default(), vec![]));
        }
    }

    #[test]
    fn settings_reach_the_ranker() {
        let set = [
            (c"FASTESTMIRROR_FALLBACKS", "3"),
            (c"FASTESTMIRROR_FACTOR", "1.5"),
            (c"FASTESTMIRROR_SLACK", "2.5"),
            (c"FASTESTMIRROR_CHECK_AFTER", "90.5"),
        ];
        let mut ranker = Ranker::new();
        read(&set).0.apply(&mut ranker);
        let ranker = format!("{ranker:?}");
        for part in ["fallbacks: 3", "factor: 1.5", "slack: 2.5ms", "check_after: 90.5s"] {
            assert!(ranker.contains(part), "{part} in {ranker}");
        }
    }

    #[test]
    fn wrong_settings_are_reported_and_ignored() {
        for (name, value) in [
            (c"FASTESTMIRROR_OFF", "yes"),
            (c"FASTESTMIRROR_FALLBACKS", "-1"),
            (c"FASTESTMIRROR_FALLBACKS", "many"),
            (c"FASTESTMIRROR_FACTOR", "0.5"),
            (c"FASTESTMIRROR_FACTOR", "NaN"),
            (c"FASTESTMIRROR_FACTOR", "inf"),
            (c"FASTESTMIRROR_SLACK", "-1"),
            (c"FASTESTMIRROR_SLACK", "60001"),
            (c"FASTESTMIRROR_SLACK", "1 s"),
            (c"FASTESTMIRROR_SLACK", "\u{1b}[2J"),
            (c"FASTESTMIRROR_CHECK_AFTER", "-1"),
            (c"FASTESTMIRROR_CHECK_AFTER", "NaN"),
            (c"FASTESTMIRROR_CHECK_AFTER", "inf"),
            (c"FASTESTMIRROR_CHECK_AFTER", "10 min"),
        ] {
            let (settings, problems) = read(&[(name, value), (c"FASTESTMIRROR_OFFX", "1")]);
            assert_eq!(settings, Settings::default());
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            let expected = format!("ignoring {}={value:?}: it must be ", name.to_string_lossy());
            assert!(problem.starts_with(&expected), "{problem}");
        }
    }
}
