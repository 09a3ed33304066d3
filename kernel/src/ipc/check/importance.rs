//! The invariants of importance: those of the engine over the ports, and those between the engine and its surroundings
//! (importance 1.7).

use super::Ipc;
use crate::ipc::importance::place_of;
use alloc::collections::BTreeMap;
use voucher::importance::{Environment, Place, PortBoosts, PortNumber, TaskNumber};

/// The live ports, copied, so that the engine can look at them.
struct Snapshot(BTreeMap<PortNumber, (PortBoosts, Place)>);

impl Environment for Snapshot {
    fn port(&mut self, port: PortNumber) -> Option<(&mut PortBoosts, Place)> {
        self.0.get_mut(&port).map(|(boosts, place)| (boosts, *place))
    }

    fn now(&self) -> u64 {
        0
    }

    fn process_id(&self, _task: TaskNumber) -> i32 {
        0
    }
}

impl Ipc {
    /// Panics unless the invariants I1 to I8 hold, and the engine's tasks and links are those of the spaces and messages.
    pub(super) fn check_importance(&self) {
        let live = self.ports.iter().filter_map(|(id, port)| {
            let place = place_of(&self.spaces, port.home_of_boosts())?;
            Some((id.to_bits(), (port.boosts.clone(), place)))
        });
        let mut snapshot = Snapshot(live.collect());
        let ports: alloc::vec::Vec<PortNumber> = snapshot.0.keys().copied().collect();
        self.importance.check(&mut snapshot, &ports);
        self.check_elements();
        self.check_links();
    }

    /// Checks that the tasks of the engine are those of the spaces.
    fn check_elements(&self) {
        let mut applications = 0;
        let mut tasks = 0;
        for (id, space) in self.spaces.iter() {
            let Some(task) = space.importance else { continue };
            let element = self.importance.element(task.element).expect("a task has its element");
            assert_eq!(element.task(), Some(id.to_bits()), "the element of {id:?} is its own");
            applications += usize::from(element.marks().denap);
            tasks += 1;
        }
        let counted = self.importance.elements().filter(|(_, element)| element.task().is_some()).count();
        assert_eq!(counted, tasks, "every task that counts has a space");
        assert_eq!(applications, self.applications, "the number of applications");
    }

    /// Checks that the links of the engine are those of the messages.
    fn check_links(&self) {
        let mut links = 0;
        for (id, message) in self.messages.iter() {
            let Some(link) = message.importance else { continue };
            let link = self.importance.link(link).expect("a link lasts as long as its message has it");
            let port = message.destination.port().map(|port| port.to_bits());
            assert_eq!(Some(link.port()), port, "{id:?} boosts the port that it is sent to");
            links += usize::from(link.source().is_some());
        }
        let linked = self.importance.elements().map(|(id, _)| self.importance.messages_of(id).count());
        assert_eq!(linked.sum::<usize>(), links, "every link belongs to one message");
    }
}
