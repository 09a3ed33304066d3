//! The invariants of vouchers and their ports, which hold between two steps (vouchers 1.13).

use super::Vouchers;
use crate::ids::{BudgetId, KernelObject, VoucherId};
use crate::ipc::Ipc;
use crate::ipc::port::Home;
use alloc::collections::BTreeMap;

impl Vouchers {
    /// Panics unless every invariant holds. `threads` are the vouchers that threads have adopted, `tasks` is the number
    /// of tasks that are in the bank.
    pub(crate) fn check(&self, ipc: &Ipc, threads: impl Iterator<Item = VoucherId>, tasks: usize) {
        self.system.registry.check(true);
        let mut holders: BTreeMap<VoucherId, u32> = BTreeMap::new();
        threads.for_each(|voucher| *holders.entry(voucher).or_default() += 1);
        let mut with_ports = 0;
        for (id, voucher) in self.system.registry.iter() {
            let held = holders.remove(&id).unwrap_or(0) + u32::from(voucher.port_holds_reference());
            assert_eq!(voucher.refs(), held, "the references of {id:?} are what holds it");
            let port = self.port(id).map(|port| ipc.port(port));
            assert_eq!(port.is_some(), voucher.port().is_some(), "{id:?} has a record of its port");
            let send_rights = port.map_or(0, |port| port.send_rights());
            assert_eq!(voucher.port_holds_reference(), send_rights > 0, "I10: the port of {id:?} holds a reference");
            if let Some(port) = port {
                assert_eq!(port.home(), Home::Kernel(KernelObject::Voucher(id)), "the port of {id:?} is its own");
                with_ports += 1;
            }
        }
        assert!(holders.is_empty(), "threads hold dead vouchers: {holders:?}");
        assert_eq!(self.bindings.iter().count(), with_ports, "each record of a port belongs to a voucher");
        let is_voucher = |home| matches!(home, Home::Kernel(KernelObject::Voucher(_)));
        let ports = ipc.ports().filter(|(_, port)| is_voucher(port.home())).count();
        assert_eq!(ports, with_ports, "each port of a voucher belongs to a live voucher");
        assert!(self.system.bank.len().0 >= tasks, "every task is in the bank");
        if self.count() == 0 {
            assert_eq!(self.system.bank.len(), (tasks, 0), "without vouchers the bank has the live tasks only");
            assert!(self.system.user_data.is_empty() && self.system.test.is_empty(), "I12: contents are left");
        }
    }

    /// Adds what vouchers cost to `charged`, by budget.
    pub(crate) fn add_costs(&self, charged: &mut BTreeMap<BudgetId, usize>) {
        self.bindings.iter().for_each(|binding| *charged.entry(binding.budget).or_default() += binding.cost);
    }
}
