//! The invariants of importance 1.7.

use super::Importance;
use super::element::{ElementId, ExternCount, Rest};
use super::environment::{Environment, Place, PortNumber, accounting_element};
use super::inherit::Depth;
use super::source::Source;
use alloc::collections::BTreeMap;

impl Importance {
    /// Asserts the invariants of importance 1.7. `ports` are all live ports. For tests and the kernel's own check: it
    /// allocates, and visits everything.
    ///
    /// # Panics
    /// If an invariant does not hold.
    pub fn check(&self, environment: &mut dyn Environment, ports: &[PortNumber]) {
        let bound = self.check_ports(environment, ports);
        self.check_tasks(environment, ports);
        self.check_inherits();
        self.check_lists();
        self.check_references(&bound);
        self.check_queues();
    }

    /// Asserts I1 and the rules of 1.5, and returns the number of ports bound to each element.
    fn check_ports(&self, environment: &mut dyn Environment, ports: &[PortNumber]) -> BTreeMap<u32, u64> {
        let mut expected = BTreeMap::<PortNumber, u64>::new();
        let mut bound = BTreeMap::new();
        for (_, link) in self.links.iter().filter(|(_, link)| link.raised) {
            *expected.entry(link.port).or_default() += 1;
        }
        for &port in ports {
            let (boosts, place) = environment.port(port).expect("the port is alive");
            *expected.entry(port).or_default() += u64::from(boosts.send_possible);
            if let Place::Transit(next) = place {
                *expected.entry(next).or_default() += boosts.count;
            }
            assert!(boosts.bound.is_none() || boosts.temp_owner, "a bound port has a temporary owner");
            assert!(boosts.temp_owner || place != Place::Limbo, "a port in limbo has a temporary owner");
            assert!(!matches!(place, Place::Transit(_)) || !boosts.temp_owner, "a travelling port has no owner");
            assert!(boosts.donation || !boosts.send_possible);
            if let Some(id) = boosts.bound {
                *bound.entry(id.index()).or_default() += 1;
            }
        }
        for &port in ports {
            let (boosts, _) = environment.port(port).expect("the port is alive");
            assert_eq!(boosts.count, expected.get(&port).copied().unwrap_or(0), "I1: boosts of port {port}");
        }
        bound
    }

    /// Asserts I2, I3, I4 and I7.
    fn check_tasks(&self, environment: &mut dyn Environment, ports: &[PortNumber]) {
        let mut on_ports = BTreeMap::<u32, u64>::new();
        for &port in ports {
            let (boosts, place) = environment.port(port).expect("the port is alive");
            let count = boosts.count;
            if !matches!(place, Place::Transit(_))
                && let Some(id) = accounting_element(environment, port)
            {
                *on_ports.entry(id.index()).or_default() += count;
            }
        }
        let mut inherited = BTreeMap::<u32, ExternCount>::new();
        for (_, inherit) in self.inherits().filter(|(_, inherit)| inherit.donating) {
            inherited.entry(inherit.to.index()).or_default().add(inherit.external);
        }
        for (id, element) in self.elements() {
            let inherited = inherited.get(&id.index()).copied().unwrap_or_default();
            assert_eq!(element.external, inherited, "I3: external counts of {id:?}");
            if element.is_receiver() {
                let ports = on_ports.get(&id.index()).copied().unwrap_or(0);
                let sum = ports + element.external.outstanding() + element.file_locks;
                assert_eq!(element.assertions, sum, "I2: boosts of {id:?}");
            } else {
                assert_eq!(element.assertions, 0, "I4: {id:?} receives no boosts");
            }
            if element.is_active() {
                let boosted = element.assertions > 0;
                assert!(
                    element.boosted == boosted || element.is_delayed() && element.boosted,
                    "I7: {id:?} has {} boosts and the policy bit {}",
                    element.assertions,
                    element.boosted
                );
            }
        }
    }

    /// Asserts I5, I6, and the limits of chains.
    fn check_inherits(&self) {
        for (id, inherit) in self.inherits() {
            let outstanding = inherit.external.outstanding();
            assert!(outstanding > 0 || !inherit.donating, "I5: {id:?} donates nothing");
            let from = self.link_task(inherit.from);
            assert!((1..=Depth::MAX).contains(&inherit.depth.length()), "depth of {id:?}");
            assert_eq!(self.find_inherit(from, inherit.to, inherit.depth), Some(id), "one inherit for each key");
            assert!(self.elements[inherit.to].is_receiver(), "an inherit boosts a receiver");
        }
        assert_eq!(self.inherit_index.len(), self.inherits.len());
        for (id, link) in self.links.iter().filter(|(_, link)| link.source.is_none()) {
            assert!(link.raised, "I6: {id:?} is static");
        }
        self.elements().for_each(|(id, _)| self.check_marks(id));
    }

    /// Asserts I6 for what hangs on a task: all of it follows the task's status as a donor, but for the rest of a visit that
    /// was cut short.
    fn check_marks(&self, task: ElementId) {
        let element = &self.elements[task];
        let is_donor = element.is_donor();
        let first_message = match element.rest {
            Some(Rest::Messages(first)) => first,
            Some(Rest::Inherits(_)) | None => None,
        };
        for id in self.messages_of(task).take_while(|&id| Some(id) != first_message) {
            assert_eq!(self.links[id].raised, is_donor, "I6: {id:?} follows {task:?}");
        }
        let (inherits_lag, first_inherit) = match element.rest {
            Some(Rest::Messages(_)) => (true, None),
            Some(Rest::Inherits(first)) => (false, first),
            None => (false, None),
        };
        for id in self.inherits_of(task).take_while(|&id| !inherits_lag && Some(id) != first_inherit) {
            let inherit = &self.inherits[id];
            if inherit.external.outstanding() > 0 && inherit.from != Source::Task(inherit.to) {
                assert_eq!(inherit.donating, is_donor, "I6: {id:?} follows {task:?}");
            }
        }
    }

    /// Asserts that each message and each inherit is in the list of the task whose donation it follows.
    fn check_lists(&self) {
        let (mut inherits, mut links) = (0, 0);
        for (id, _) in self.elements() {
            for inherit in self.inherits_of(id) {
                assert_eq!(self.link_task(self.inherits[inherit].from), id, "{inherit:?} is in the list of {id:?}");
                inherits += 1;
            }
            for link in self.messages_of(id) {
                let source = self.links[link].source.expect("a static boost is in no list");
                assert_eq!(self.link_task(source), id, "{link:?} is in the list of {id:?}");
                links += 1;
            }
        }
        assert_eq!(inherits, self.inherits.len(), "each inherit is in a list");
        assert_eq!(
            links,
            self.links.iter().filter(|(_, link)| link.source.is_some()).count(),
            "each link is in a list"
        );
    }

    /// Asserts I8.
    fn check_references(&self, bound: &BTreeMap<u32, u64>) {
        let (mut tasks, mut inherits) = (BTreeMap::<u32, u64>::new(), BTreeMap::<u32, u64>::new());
        let mut count = |source| match source {
            Source::Task(id) => *tasks.entry(ElementId::index(id)).or_default() += 1,
            Source::Inherit(id) => *inherits.entry(super::InheritId::index(id)).or_default() += 1,
        };
        self.links.iter().filter_map(|(_, link)| link.source).for_each(&mut count);
        for (_, inherit) in self.inherits() {
            count(inherit.from);
            count(Source::Task(inherit.to));
        }
        for (id, element) in self.elements() {
            let others = [element.task.is_some(), element.made > 0, element.is_delayed()];
            let expected = others.map(u64::from).iter().sum::<u64>()
                + tasks.get(&id.index()).copied().unwrap_or(0)
                + bound.get(&id.index()).copied().unwrap_or(0);
            assert_eq!(element.refs, expected, "I8: references to {id:?}");
        }
        for (id, inherit) in self.inherits() {
            let others = u64::from(inherit.made > 0) + u64::from(inherit.exec);
            let expected = others + inherits.get(&id.index()).copied().unwrap_or(0);
            assert_eq!(inherit.refs, expected, "I8: references to {id:?}");
        }
    }

    /// Asserts that no work is left over, and the rules of the delayed drop.
    fn check_queues(&self) {
        assert!(self.crossed.is_empty() && self.updating.is_empty(), "a call leaves no work");
        assert!(self.elements().all(|(_, element)| !element.is_updating), "a call leaves no work");
        let unfinished = |id| self.elements[id].is_unfinished();
        assert!(
            self.unfinished.iter(&self.elements).all(unfinished),
            "what waits for its turn has something left to visit"
        );
        let (waiting, lagging) = (self.unfinished.len(), self.elements().filter(|&(id, _)| unfinished(id)).count());
        assert_eq!(waiting, lagging, "each visit that was cut short goes on");
        let times = self.delayed().map(|id| self.elements[id].delayed_at);
        assert!(times.is_sorted(), "the delayed drop is first come, first served");
        assert_eq!(self.delayed().count(), self.elements().filter(|(_, element)| element.is_delayed()).count());
        assert_eq!(self.delayed.deadline.is_some(), !self.delayed.queue.is_empty(), "a timer runs for the first");
    }
}
