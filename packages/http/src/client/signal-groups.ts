import { Linked, Ring } from './ring.js';

/** Who is to hear of an abort, and leaves then. */
export interface Abortable {
  abort(reason: Error): void;
}

/** A caller's place among those who share a signal. */
class Member extends Linked {
  readonly group: Group;
  readonly call: Abortable;

  constructor(group: Group, call: Abortable) {
    super();
    this.group = group;
    this.call = call;
  }
}

class Group {
  readonly signal: AbortSignal;
  readonly members = new Ring<Member>();

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  handleEvent(): void {
    // A call that is aborted leaves.
    for (let member = this.members.some; member; member = this.members.some) member.call.abort(this.signal.reason);
  }
}

/**
 * Tells many calls of the same signal with one listener, because a signal with more than ten makes Node warn of a leak.
 * The listener is there while at least one call is.
 */
export class SignalGroups {
  readonly #groups = new WeakMap<AbortSignal, Group>();

  join(signal: AbortSignal, call: Abortable): Member {
    let group = this.#groups.get(signal);
    if (group === undefined) {
      group = new Group(signal);
      this.#groups.set(signal, group);
    }
    if (group.members.size === 0) signal.addEventListener('abort', group);
    const member = new Member(group, call);
    group.members.add(member);
    return member;
  }

  /** Can be called once for each member. */
  leave(member: Member): void {
    const { members, signal } = member.group;
    members.delete(member);
    if (members.size === 0) signal.removeEventListener('abort', member.group);
  }
}

export type { Member as SignalMember };
