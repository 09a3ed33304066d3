//! `dispatch_time_t`: nanoseconds since the machine started.

use crate::{Function, call, object};
use core::time::Duration;
use dispatch::process::process;

const NOW: u64 = 0;
const FOREVER: u64 = u64::MAX;

/// Returns how long it is until a time; `None` for never.
pub(crate) fn until(time: u64) -> Option<Duration> {
    match time {
        FOREVER => None,
        NOW => Some(Duration::ZERO),
        time => Some(Duration::from_nanos(time.saturating_sub(process().kernel.now()))),
    }
}

/// Returns the time so many nanoseconds after another, which is neither "now" nor "never".
fn shifted(from: u64, nanoseconds: i64) -> u64 {
    from.saturating_add_signed(nanoseconds).clamp(NOW + 1, FOREVER - 1)
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_time(when: u64, delta: i64) -> u64 {
    match when {
        FOREVER => FOREVER,
        NOW if delta == i64::MAX => FOREVER,
        NOW => shifted(process().kernel.now(), delta),
        when => shifted(when, delta),
    }
}

#[unsafe(no_mangle)]
extern "C" fn dispatch_after_f(when: u64, queue: usize, context: usize, work: Option<Function>) {
    let work = call(work, context);
    if let Some(delay) = until(when) {
        object::queue(queue).after(delay, work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_within_their_range() {
        assert_eq!(shifted(1000, 234), 1234);
        assert_eq!(shifted(1000, -234), 766);
        assert_eq!(shifted(1000, -2000), NOW + 1);
        assert_eq!(shifted(FOREVER - 10, i64::MAX), FOREVER - 1);
        assert_eq!(dispatch_time(FOREVER, -1), FOREVER);
        assert_eq!(dispatch_time(NOW, i64::MAX), FOREVER);
        assert_eq!((until(FOREVER), until(NOW)), (None, Some(Duration::ZERO)));
    }
}
