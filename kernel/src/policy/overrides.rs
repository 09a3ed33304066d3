//! Explicit overrides: classes that other threads request for a thread while they wait for it (importance 8.5).

use abi::qos::Qos;
use heapless::Vec;

/// The resources for which a thread can have overrides at the same time. They are part of the thread's record, so an
/// override needs no memory.
pub const OVERRIDES_MAX: usize = 16;

/// The explicit overrides of a thread: a class and a count for each resource.
///
/// XNU has objects of other types beside them, for mutexes. In Tally the waiters of a program's locks use these, with the
/// address of the lock as the resource.
#[derive(Debug, Default)]
pub struct Overrides {
    objects: Vec<Override, OVERRIDES_MAX>,
}

/// The override for one resource.
#[derive(Debug)]
struct Override {
    /// A number by which the programs that start and end the override know the resource, usually an address.
    resource: u64,
    /// How often it was started and not ended. One more than the greatest number is refused.
    count: u32,
    /// The highest class for which it was started.
    class: Qos,
}

/// The thread has as many overrides as it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Overrides {
    /// Starts an override for a resource. If there is one already, counts it, and raises its class if this one is
    /// higher.
    ///
    /// # Errors
    /// [`TooMany`]; nothing has changed.
    pub fn start(&mut self, resource: u64, class: Qos) -> Result<(), TooMany> {
        let Some(found) = self.objects.iter_mut().find(|object| object.resource == resource) else {
            return self.objects.push(Override { resource, count: 1, class }).map_err(|_| TooMany);
        };
        found.count = found.count.checked_add(1).ok_or(TooMany)?;
        found.class = found.class.max(class);
        Ok(())
    }

    /// Ends an override for a resource, if there is one. The class does not fall before the last one has ended.
    pub fn end(&mut self, resource: u64) {
        let Some(at) = self.objects.iter().position(|object| object.resource == resource) else { return };
        let found = &mut self.objects[at];
        found.count -= 1;
        if found.count == 0 {
            self.objects.swap_remove(at);
        }
    }

    /// Returns the highest class of all overrides.
    pub fn highest(&self) -> Qos {
        self.objects.iter().map(|object| object.class).max().unwrap_or(Qos::Unspecified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Qos::*;

    #[test]
    fn an_override_is_started_as_often_as_its_count_can_tell() {
        let mut overrides = Overrides::default();
        overrides.start(1, Utility).unwrap();
        overrides.objects[0].count = u32::MAX - 1;
        assert_eq!(overrides.start(1, Legacy), Ok(()));
        assert_eq!(overrides.start(1, UserInteractive), Err(TooMany));
        assert_eq!((overrides.objects[0].count, overrides.highest()), (u32::MAX, Legacy), "nothing has changed");
        overrides.end(1);
        assert_eq!(overrides.start(1, Utility), Ok(()));
    }

    #[test]
    fn the_highest_override_counts_and_a_class_rises_until_the_last_end() {
        let mut overrides = Overrides::default();
        assert_eq!(overrides.highest(), Unspecified);
        for (resource, class, highest) in
            [(1, Utility, Utility), (2, Legacy, Legacy), (1, UserInteractive, UserInteractive)]
        {
            overrides.start(resource, class).unwrap();
            assert_eq!(overrides.highest(), highest);
        }
        overrides.start(1, Background).unwrap();
        for (resource, highest) in [
            (1, UserInteractive),
            (1, UserInteractive),
            (3, UserInteractive),
            (1, Legacy),
            (1, Legacy),
            (2, Unspecified),
        ] {
            overrides.end(resource);
            assert_eq!(overrides.highest(), highest, "after an end for {resource}");
        }
    }

    #[test]
    fn one_override_too_many_is_refused_and_changes_nothing() {
        let mut overrides = Overrides::default();
        (0..OVERRIDES_MAX as u64).for_each(|resource| overrides.start(resource, Utility).unwrap());
        assert_eq!(overrides.start(OVERRIDES_MAX as u64, UserInteractive), Err(TooMany));
        assert_eq!(overrides.highest(), Utility);
        overrides.start(3, Legacy).expect("a resource that has one already");
        overrides.end(5);
        overrides.start(100, UserInitiated).expect("there is room again");
    }
}
