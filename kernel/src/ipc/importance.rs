//! Importance: the engine of the crate `voucher`, and what it is told of ports, messages and tasks (importance 3 to 6).
//!
//! [`Ipc`] owns the engine, because the code that moves a receive right must tell it at that moment: otherwise the boosts
//! of the port would count for the wrong task. The engine sees the ports through [`Surroundings`]. It never sees threads
//! and does not change policies: a transaction asks for what has changed (`work.rs`).

use super::Ipc;
use super::port::{Home, Ports};
use super::space::{Spaces, TaskImportance};
use crate::heap::footprint_of_single;
use crate::ids::{MessageId, PortId, SpaceId, TaskId};
use crate::machine::{Nanos, NoMemory};
use crate::step::{Step, Work};
use store::Id;
use voucher::importance::*;

/// The bytes of the heap that an inherit takes up, with the element of the task that it comes from: that outlives the
/// task.
pub(crate) const INHERIT_MEMORY: usize = footprint_of_single::<Inherit>() + footprint_of_single::<TaskElement>();

/// The ports, tasks and clock, as far as the engine asks for them. The number of a task is the id of its space.
#[derive(Debug)]
pub struct Surroundings<'a> {
    ports: &'a mut Ports,
    spaces: &'a Spaces,
    now: Nanos,
}

impl Environment for Surroundings<'_> {
    fn port(&mut self, port: PortNumber) -> Option<(&mut PortBoosts, Place)> {
        let port = self.ports.get_mut(Id::from_bits(port)?)?;
        let place = place_of(self.spaces, port.home_of_boosts())?;
        Some((&mut port.boosts, place))
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn process_id(&self, task: TaskNumber) -> i32 {
        let space = Id::from_bits(task).and_then(|id| self.spaces.get(id));
        space.and_then(|space| space.importance).map_or(-1, |task| task.pid as i32)
    }
}

/// Returns the place of a receive right as the engine knows it, or `None` if there is none.
pub(super) fn place_of(spaces: &Spaces, home: Home) -> Option<Place> {
    Some(match home {
        Home::Space { space, .. } => Place::Space(spaces[space].importance.map(|task| task.element)),
        Home::Kernel(_) => Place::Space(None),
        Home::Transit(to) => Place::Transit(to.to_bits()),
        Home::Limbo => Place::Limbo,
        Home::Dead => return None,
    })
}

impl Ipc {
    /// Returns the importance of all tasks.
    #[inline(always)]
    pub fn importance(&self) -> &Importance {
        &self.importance
    }

    /// Returns the engine and its surroundings. For the managers of vouchers.
    pub(crate) fn importance_parts(&mut self) -> (&mut Importance, Surroundings<'_>) {
        let Ipc { importance, ports, spaces, now, .. } = self;
        (importance, Surroundings { ports, spaces, now: *now })
    }

    /// Returns the element that counts for the task of a space. It is there from the beginning of the task until its
    /// names are gone.
    #[inline(always)]
    pub fn element_of(&self, space: SpaceId) -> Option<ElementId> {
        self.spaces[space].importance.map(|task| task.element)
    }

    /// Returns the pid of a space's task, if it has not ended.
    pub fn pid_of(&self, space: SpaceId) -> Option<u32> {
        self.spaces.get(space)?.importance.map(|task| task.pid)
    }

    /// Returns the link of a message to the importance of its sender, if it has one.
    pub fn link_of(&self, message: MessageId) -> Option<LinkId> {
        self.messages[message].importance
    }

    /// Begins to log the changes of boosts.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub(crate) fn start_boost_log(&mut self) -> Result<(), NoMemory> {
        self.importance.start_log()
    }

    /// Stops logging.
    pub(crate) fn stop_boost_log(&mut self) {
        self.importance.stop_log();
    }

    /// Removes the logged changes of boosts and returns them. The task of each is its pid here.
    pub(crate) fn logged_boosts(&mut self) -> impl Iterator<Item = BoostEvent> {
        let Ipc { importance, spaces, .. } = self;
        importance.logged().map(|event| {
            let space = Id::from_bits(event.task).and_then(|id| spaces.get(id));
            let pid = space.and_then(|space| space.importance).map_or(0, |task| task.pid);
            BoostEvent { task: pid.into(), ..event }
        })
    }

    /// Begins to count for a task. The caller has [made room](Ipc::make_room_for_task).
    pub(crate) fn begin_importance(
        &mut self,
        space: SpaceId,
        (task, pid): (TaskId, u32),
        marks: Marks,
        policy: LivePolicy,
    ) {
        let element = self.importance.insert_element(space.to_bits(), marks, policy);
        self.spaces[space].importance = Some(TaskImportance { element, task, pid });
        self.applications += usize::from(marks.denap);
    }

    /// Takes note that a task is being terminated (importance 6.8 step 1).
    pub(crate) fn begin_termination(&mut self, space: SpaceId) {
        if let Some(element) = self.element_of(space) {
            self.importance.begin_termination(element);
        }
    }

    /// Ends the counting for a task whose names and vouchers are gone (importance 6.8 step 3).
    pub(crate) fn end_importance(&mut self, space: SpaceId) {
        let Some(TaskImportance { element, .. }) = self.spaces[space].importance.take() else { return };
        let marks = self.importance.element(element).expect("a task refers to its element").marks();
        self.applications -= usize::from(marks.denap);
        let (importance, mut surroundings) = self.importance_parts();
        importance.disconnect(&mut surroundings, element);
    }

    /// Tells what the policy of a task wants now (importance 2.4).
    #[cold]
    pub(crate) fn set_live_policy(&mut self, space: SpaceId, policy: LivePolicy) {
        if let Some(element) = self.element_of(space) {
            let (importance, mut surroundings) = self.importance_parts();
            importance.set_live_policy(&mut surroundings, element, policy);
        }
    }

    /// Makes a task a donor (importance 2.2).
    pub(crate) fn mark_donor(&mut self, space: SpaceId) {
        if let Some(element) = self.element_of(space) {
            let (importance, mut surroundings) = self.importance_parts();
            importance.mark_donor(&mut surroundings, element);
        }
    }

    /// Returns true if the time can matter to importance, so that [`set_time`](Ipc::set_time) is to be called in each
    /// step: only applications wait for the delayed drop.
    #[inline(always)]
    pub(crate) fn needs_time(&self) -> bool {
        self.applications > 0
    }

    /// Tells the time of this step.
    pub(crate) fn set_time(&mut self, now: Nanos) {
        self.now = now;
    }

    /// Ends the boosts of some applications whose delayed drop is due (importance 6.6). The caller has seen that the deadline
    /// has passed. It stays if there may be more, so that the timer fires again.
    #[cold]
    pub(crate) fn fire_delayed_drop(&mut self) {
        let (importance, mut surroundings) = self.importance_parts();
        importance.fire_delayed_drop(&mut surroundings);
    }

    /// Returns the next task whose policy bit has changed, and the bit.
    pub(crate) fn next_boost(&mut self) -> Option<(TaskId, bool)> {
        let PolicyChange { task, boosted } = self.importance.next_change()?;
        Some((self.task_of(task), boosted))
    }

    /// Returns the task that [`next_boost`](Ipc::next_boost) will return.
    pub(crate) fn first_boost(&mut self) -> Option<TaskId> {
        self.importance.first_change().map(|task| self.task_of(task))
    }

    fn task_of(&self, task: TaskNumber) -> TaskId {
        let space = Id::from_bits(task).and_then(|id| self.spaces.get(id)).expect("a live task has a space");
        space.importance.expect("a live task has an element").task
    }

    /// Takes note that the deadline and some policy changes are known. Returns true if there is more, which is noted as
    /// background work.
    pub(crate) fn news_are_told(&mut self, step: &mut Step) -> bool {
        let more = self.importance.news_are_told();
        if more && !core::mem::replace(&mut self.boosts_spread, true) {
            step.later_in_background(Work::Boosts);
        }
        more
    }

    /// Returns true if there is work that lets boosts spread.
    pub(crate) fn boosts_spread(&self) -> bool {
        self.boosts_spread
    }

    /// Sets how many visits a change of importance that begins now makes before it is cut.
    #[cold]
    pub(crate) fn allow_visits(&mut self, visits: u64) {
        self.importance.allow(visits);
    }

    /// Lets boosts spread that were too many for one step. There are news afterwards.
    #[cold]
    pub(crate) fn spread_boosts(&mut self) {
        self.boosts_spread = false;
        let (importance, mut surroundings) = self.importance_parts();
        importance.finish_visits(&mut surroundings);
    }

    /// Lets messages to a port donate (importance 3.1).
    pub(super) fn accept_donation(&mut self, port: PortId) {
        self.ports[port].boosts.accept_donation();
        self.note_donation(port);
    }

    /// Gives a port a temporary owner, for now nobody (importance 3.2).
    pub(super) fn set_temp_owner(&mut self, port: PortId) {
        let (importance, mut surroundings) = self.importance_parts();
        importance.set_temp_owner(&mut surroundings, port.to_bits());
        self.note_donation(port);
    }

    /// Lets the boosts of a port with a temporary owner count for a task that is being started (importance 3.3).
    pub(crate) fn bind_watch_port(&mut self, port: PortId, space: SpaceId) {
        if let Some(element) = self.element_of(space) {
            let (importance, mut surroundings) = self.importance_parts();
            importance.bind_watch_port(&mut surroundings, port.to_bits(), element);
        }
    }

    /// Takes the boosts of a port to the present place of its receive right, which has moved from `old` (importance 3.4).
    #[cold]
    pub(super) fn boosts_move(&mut self, port: PortId, old: Home) {
        let old = place_of(&self.spaces, old).expect("the right has been somewhere");
        let (importance, mut surroundings) = self.importance_parts();
        importance.right_moved(&mut surroundings, port.to_bits(), old);
    }

    /// Takes note that a receive right has left `old` for limbo because a port-destroyed request saves its port
    /// (importance 3.5).
    pub(super) fn right_redirected(&mut self, port: PortId, old: Home) {
        let old = place_of(&self.spaces, old).expect("the right has been somewhere");
        let (importance, mut surroundings) = self.importance_parts();
        importance.right_redirected(&mut surroundings, port.to_bits(), old);
    }

    /// Ends the boosts of a port that has died, and whose receive right was at `old` (importance 3.5).
    #[cold]
    pub(super) fn boosts_end(&mut self, port: PortId, old: Home) {
        let old = place_of(&self.spaces, old).expect("a port dies once");
        let boosts = core::mem::take(&mut self.ports[port].boosts);
        let (importance, mut surroundings) = self.importance_parts();
        importance.port_died(&mut surroundings, boosts, old);
    }

    /// Returns true if a message from a task to a live port takes part in importance: see
    /// [`donate`](Ipc::donate).
    #[inline]
    pub(crate) fn takes_part(&self, port: PortId, sender: SpaceId, mode: SendMode) -> bool {
        let boosts = &self.ports[port].boosts;
        boosts.accepts_donation() && self.importance.needs_send(boosts, self.element_of(sender), mode)
    }

    /// Ties a message to the importance of its sender, and lets it boost the receiver if the sender is a donor
    /// (importance 4.3). `voucher` is the importance in the message's voucher.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    #[inline(never)]
    pub(crate) fn donate(
        &mut self,
        message: MessageId,
        port: PortId,
        sender: SpaceId,
        voucher: Option<Source>,
        mode: SendMode,
    ) -> Result<(), NoMemory> {
        let request = SendRequest { port: port.to_bits(), sender: self.element_of(sender), voucher, mode };
        let (importance, mut surroundings) = self.importance_parts();
        let link = importance.send(&mut surroundings, &request).map_err(|_| NoMemory)?;
        let tied = core::mem::replace(&mut self.messages[message].importance, link);
        assert!(tied.is_none(), "{message:?} donates twice");
        Ok(())
    }

    /// Takes the tie of a message to importance, which the caller uses up.
    #[inline]
    pub(crate) fn take_importance(&mut self, message: MessageId) -> Option<LinkId> {
        self.messages[message].importance.take()
    }

    /// Ends the importance of a message (importance 5.6).
    #[inline]
    pub(crate) fn clean_message(&mut self, message: MessageId) {
        if let Some(link) = self.take_importance(message) {
            self.clean(link);
        }
    }

    #[cold]
    fn clean(&mut self, link: LinkId) {
        let (importance, mut surroundings) = self.importance_parts();
        importance.clean(&mut surroundings, Some(link));
    }

    /// Adds a boost to a port with a full queue if the task that waits to be told of room is a donor (importance 4.6).
    #[cold]
    pub(crate) fn arm_send_possible_boost(&mut self, port: PortId, sender: SpaceId, mode: SendMode) {
        let element = self.element_of(sender);
        let (importance, mut surroundings) = self.importance_parts();
        importance.arm_send_possible(&mut surroundings, port.to_bits(), element, mode);
    }

    /// Removes that boost, because a message has been received.
    #[cold]
    pub(super) fn end_send_possible_boost(&mut self, port: PortId) {
        let (importance, mut surroundings) = self.importance_parts();
        importance.fire_send_possible(&mut surroundings, port.to_bits());
    }
}
