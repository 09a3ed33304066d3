//! Tasks and ports for the benchmark, as plain as can be.

use voucher::importance::{
    DeliveredVoucher, ElementId, Environment, Importance, LinkId, LivePolicy, Marks, Place, PortBoosts, PortNumber,
    SendMode, SendRequest, TaskNumber, WithImportance, receive_importance,
};
use voucher::managers::importance::ImportanceManager;
use voucher::{CallingTask, Key, VoucherId, Vouchers, release_voucher};

/// Ports in an array.
struct Ports(Vec<(PortBoosts, Place)>);

impl Environment for Ports {
    fn port(&mut self, port: PortNumber) -> Option<(&mut PortBoosts, Place)> {
        self.0.get_mut(port as usize).map(|(boosts, place)| (boosts, *place))
    }

    fn now(&self) -> u64 {
        0
    }

    fn process_id(&self, task: TaskNumber) -> i32 {
        task as i32
    }
}

/// Tasks with ports.
pub struct Scene {
    vouchers: Vouchers,
    importance: Importance,
    ports: Ports,
}

const DONATES: LivePolicy = LivePolicy { unboosted: true, boosted: true };
const DOES_NOT: LivePolicy = LivePolicy { unboosted: false, boosted: false };

impl Scene {
    pub fn new() -> Scene {
        let mut vouchers = Vouchers::new(1, Default::default()).expect("the heap has room");
        let key = Key::IMPORTANCE.number();
        vouchers.registry.register(key, ImportanceManager::REGISTRATION).expect("the key is free");
        Scene { vouchers, importance: Importance::new(1), ports: Ports(Vec::new()) }
    }

    fn task(&mut self, marks: Marks, policy: LivePolicy) -> ElementId {
        let element = self.importance.create_element(1).expect("the heap has room");
        self.importance.set_marks(&mut self.ports, element, marks, policy).expect("a new task has no boosts");
        element
    }

    /// Returns an application that donates.
    pub fn donor(&mut self) -> ElementId {
        self.task(Marks { denap: true, live_donor: true, ..Marks::default() }, DONATES)
    }

    /// Returns an adaptive daemon.
    pub fn daemon(&mut self) -> ElementId {
        self.task(Marks { receiver: true, ..Marks::default() }, LivePolicy::default())
    }

    pub fn port(&mut self, holder: ElementId, donation: bool) -> PortNumber {
        let mut boosts = PortBoosts::default();
        if donation {
            boosts.accept_donation();
        }
        self.ports.0.push((boosts, Place::Space(Some(holder))));
        self.ports.0.len() as PortNumber - 1
    }

    #[inline]
    pub fn needs_send(&self, port: PortNumber, sender: ElementId, mode: SendMode) -> bool {
        self.importance.needs_send(&self.ports.0[port as usize].0, Some(sender), mode)
    }

    pub fn send(&mut self, sender: ElementId, port: PortNumber) -> Option<LinkId> {
        let request = SendRequest { port, sender: Some(sender), voucher: None, mode: SendMode::Normal };
        let link = self.importance.send(&mut self.ports, &request).expect("the heap has room");
        self.apply();
        link
    }

    pub fn clean(&mut self, link: Option<LinkId>) {
        self.importance.clean(&mut self.ports, link);
        self.apply();
    }

    fn system(&mut self) -> WithImportance<'_, Vouchers> {
        WithImportance::new(&mut self.vouchers, &mut self.importance, &mut self.ports)
    }

    pub fn receive(&mut self, receiver: ElementId, link: Option<LinkId>) -> VoucherId {
        let caller = CallingTask { task: 1, bank: None, importance: Some(receiver) };
        let delivered = receive_importance(&mut self.system(), &caller, link, None);
        self.apply();
        match delivered.voucher {
            DeliveredVoucher::Replaced(Some(voucher)) => voucher,
            other => panic!("a voucher is delivered, not {other:?}"),
        }
    }

    pub fn release(&mut self, voucher: VoucherId) {
        let rest = release_voucher(&mut self.system(), voucher);
        assert!(rest.is_none(), "every manager answers at once");
        self.apply();
    }

    /// Lets an application cease to be a donor and become one again.
    pub fn toggle(&mut self, donor: ElementId) {
        for policy in [DOES_NOT, DONATES] {
            self.importance.set_live_policy(&mut self.ports, donor, policy);
            self.apply();
        }
    }

    fn apply(&mut self) {
        while let Some(change) = self.importance.next_change() {
            std::hint::black_box(change);
        }
    }
}
