//! How many connections each client has to this program, and how many it may have.
//!
//! A connection costs the service memory and names, and any program that knows the service can make one. So one client
//! gets a limited number, and cannot take what the others need.

use alloc::collections::BTreeMap;

/// Connections of one process at a time. An app has one or two as a rule.
pub(crate) const MOST: u32 = 64;

/// The numbers of connections, by process.
#[derive(Debug, Default)]
pub(crate) struct Clients(BTreeMap<u32, u32>);

impl Clients {
    /// Returns the state without connections.
    pub(crate) const fn new() -> Clients {
        Clients(BTreeMap::new())
    }

    /// Notes a connection of a process. Returns false if the process has as many as it may have.
    #[must_use]
    pub(crate) fn came(&mut self, pid: u32) -> bool {
        let count = self.0.entry(pid).or_default();
        let has_room = *count < MOST;
        *count += u32::from(has_room);
        has_room
    }

    /// Notes the end of a connection of a process.
    pub(crate) fn went(&mut self, pid: u32) {
        let count = self.0.get_mut(&pid).expect("a connection ends once");
        *count -= 1;
        if *count == 0 {
            self.0.remove(&pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_a_limited_number_of_connections_of_its_own() {
        let mut clients = Clients::new();
        assert!((0..MOST).all(|_| clients.came(1)));
        assert!(!clients.came(1) && !clients.came(1));
        assert!(clients.came(2), "another client is not concerned");
        clients.went(1);
        assert!(clients.came(1) && !clients.came(1));
    }

    #[test]
    fn a_client_that_is_gone_leaves_nothing() {
        let mut clients = Clients::new();
        assert!(clients.came(1) && clients.came(1));
        clients.went(1);
        clients.went(1);
        assert!(clients.0.is_empty());
    }
}
