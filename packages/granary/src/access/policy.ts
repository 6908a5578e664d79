import type { Socket } from 'node:net';
import type { MaybePromise } from '@granary/blobs';
import { AccessDeniedError, type Credentials, type Right } from '@granary/reapi';
import { certificateSubject, clientNetwork, isLocal, peerAddress } from './connection.js';
import { FailureLimit } from './failure-limit.js';
import type { Htpasswd } from './htpasswd.js';
import { Passwords, type VerifyPassword } from './passwords.js';
import { type Presented, presentedCredentials } from './presented.js';
import { allows, type RightLevel } from './rights.js';
import type { SecretHash } from './secret-hash.js';
import { findToken, type Tokens } from './tokens.js';

/** Who may come in: what the files say, replaced as a whole when they are read again. */
export interface Identities {
  readonly users: Htpasswd;
  readonly tokens: Tokens;
}

export interface AccessOptions {
  readonly identities: Identities;
  readonly hash: SecretHash;
  readonly verifyPassword: VerifyPassword;
  /** Whether there is anything to identify with; without it credentials are not looked at. */
  readonly hasCredentials: boolean;
  /** What clients without credentials may do. */
  readonly anonymous: 'none' | 'read' | 'write';
  /** Right of each identity by its name. */
  readonly rights: Readonly<Record<string, RightLevel>>;
  readonly defaultRight: RightLevel;
  /** Failed attempts a minute for each client network and user. */
  readonly maxFailures: number;
  /** Told of each refusal, for the metrics. */
  readonly onRefused?: (reason: AccessDeniedError['code']) => void;
  /** Milliseconds, for the limit of failures. Default: a clock that nobody sets. */
  readonly clock?: () => number;
}

/** What a request for a feed shows of who sends it. */
export interface FeedCredentials extends Credentials {
  /** The `X-NuGet-ApiKey` header. */
  readonly apiKey: string | undefined;
}

interface Identity {
  readonly name: string;
  readonly level: RightLevel;
}

/** Decides for every listener alike who a client is and what it may do. */
export class AccessPolicy {
  readonly #options: AccessOptions;
  readonly #failures: FailureLimit;
  readonly #anonymous: Identity;
  #passwords: Passwords;
  #tokens: Tokens;
  /** Who was recognized on a connection, so that the next request of the same client costs a comparison. */
  #recognized = new WeakMap<Socket, { authorization: string; identity: Identity }>();
  /** Connections whose last request showed an unknown API key and nothing else. */
  readonly #guesses = new WeakSet<Socket>();

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#failures = new FailureLimit({
      maxFailures: options.maxFailures,
      ...(options.clock && { clock: options.clock }),
    });
    this.#anonymous = { name: 'anonymous', level: options.anonymous };
    this.#passwords = new Passwords(options.identities.users, options.hash, options.verifyPassword);
    this.#tokens = options.identities.tokens;
  }

  /** Takes over what the files say now. Passwords that were verified before are verified again. */
  replace(identities: Identities): void {
    this.#passwords = new Passwords(identities.users, this.#options.hash, this.#options.verifyPassword);
    this.#tokens = identities.tokens;
    this.#recognized = new WeakMap();
  }

  /**
   * Lets a request go on and answers with the name of the identity.
   *
   * @throws AccessDeniedError when the client is not who it says, is too insistent, or may not do this
   */
  authorize(credentials: Credentials, right: Right): MaybePromise<string> {
    const identity = this.#identify(credentials);
    return identity instanceof Promise
      ? identity.then((known) => this.#admit(known, right))
      : this.#admit(identity, right);
  }

  /**
   * Whether a client has a right: a question, so that a no is neither an error nor counted as a refusal.
   *
   * @throws AccessDeniedError when the client is not who it says or is too insistent
   */
  allows(credentials: Credentials, right: Right): MaybePromise<boolean> {
    const identity = this.#identify(credentials);
    return identity instanceof Promise
      ? identity.then(({ level }) => allows(level, right))
      : allows(identity.level, right);
  }

  /**
   * As {@link authorize}, with what NuGet clients can show beside: a token as their API key, and one as the password of
   * Basic credentials, whatever the user. An API key that is no token may be one for whom a package is passed on to, so
   * it counts as a failure only when nothing else was shown.
   */
  authorizeFeed(credentials: FeedCredentials, right: Right): MaybePromise<string> {
    if (!this.#options.hasCredentials) return this.authorize(credentials, right);
    const { authorization, apiKey, socket } = credentials;
    const byKey = apiKey === undefined ? undefined : this.#ofToken(apiKey);
    if (byKey && (authorization === undefined || allows(byKey.level, right))) return this.#admit(byKey, right);
    if (authorization === undefined) {
      if (apiKey !== undefined && !this.#certified(socket) && !allows(this.#anonymous.level, right))
        this.#guessed(socket);
      return this.authorize(credentials, right);
    }
    const byPassword = this.#byTokenAsPassword(credentials);
    const name = byPassword ? this.#admit(byPassword, right) : this.authorize(credentials, right);
    if (!socket || !this.#guesses.has(socket)) return name;
    return name instanceof Promise
      ? name.then((known) => this.#explained(socket, known))
      : this.#explained(socket, name);
  }

  /** Whether a text is a token of somebody here, which nobody else may get to see. */
  isToken(text: string): boolean {
    return this.#ofToken(text) !== undefined;
  }

  /** As {@link authorize} for `admin`, but a connection that never left the machine needs no credentials. */
  authorizeAdmin(credentials: Credentials): MaybePromise<string> {
    return isLocal(credentials.socket) ? 'local' : this.authorize(credentials, 'admin');
  }

  #byTokenAsPassword(credentials: FeedCredentials): Identity | undefined {
    const { authorization, socket } = credentials;
    if (socket && this.#recognized.get(socket)?.authorization === authorization) return undefined;
    const presented = presentedCredentials(credentials);
    const identity = presented?.kind === 'basic' ? this.#ofToken(presented.password) : undefined;
    if (identity && authorization !== undefined && socket) this.#recognized.set(socket, { authorization, identity });
    return identity;
  }

  #ofToken(token: string): Identity | undefined {
    const owner = findToken(this.#tokens, this.#options.hash, token);
    return owner && { name: owner.name, level: this.#right(owner.name) ?? owner.right ?? this.#options.defaultRight };
  }

  /** An unknown API key came without credentials, which clients may send only after they were asked for some. */
  #guessed(socket: Socket | undefined): void {
    if (!this.#failures.tryAttempt(`${clientNetwork(peerAddress(socket))} key`)) throw this.#tooMany();
    if (socket) this.#guesses.add(socket);
  }

  #explained(socket: Socket, name: string): string {
    if (this.#guesses.delete(socket)) this.#failures.giveBack(`${clientNetwork(peerAddress(socket))} key`);
    return name;
  }

  #admit(identity: Identity, right: Right): string {
    if (allows(identity.level, right)) return identity.name;
    if (identity === this.#anonymous && this.#options.hasCredentials)
      throw this.#refuse('UNAUTHENTICATED', `this needs credentials with the right to ${verb(right)}`);
    throw this.#refuse('PERMISSION_DENIED', `${identity.name} has no right to ${verb(right)} here`);
  }

  #identify(credentials: Credentials): MaybePromise<Identity> {
    if (!this.#options.hasCredentials) return this.#anonymous;
    const { authorization, socket } = credentials;
    if (authorization !== undefined && socket) {
      const recognized = this.#recognized.get(socket);
      // What the same connection brought before is no secret to it, so this comparison need not be constant in time.
      if (recognized?.authorization === authorization) return recognized.identity;
    }
    const presented = presentedCredentials(credentials);
    if (!presented) return this.#certified(socket) ?? this.#anonymous;
    const generation = this.#recognized;
    const remember = (identity: Identity): Identity => {
      if (authorization !== undefined && socket) generation.set(socket, { authorization, identity });
      return identity;
    };
    const identity = this.#verify(presented, clientNetwork(peerAddress(socket)));
    return identity instanceof Promise ? identity.then(remember) : remember(identity);
  }

  #certified(socket: Socket | undefined): Identity | undefined {
    const certificate = certificateSubject(socket);
    if (!certificate) return undefined;
    const { subject, commonName } = certificate;
    const level = this.#right(subject) ?? (commonName === undefined ? undefined : this.#right(commonName));
    return { name: subject, level: level ?? this.#options.defaultRight };
  }

  #verify(presented: Presented, network: string): MaybePromise<Identity> {
    if (presented.kind === 'basic') return this.#verifyPassword(presented.user, presented.password, network);
    const owner = presented.kind === 'bearer' && this.#ofToken(presented.token);
    // Tokens are too long to be guessed, so one that is right is let in however many wrong ones came from its network.
    if (owner) return owner;
    if (!this.#failures.tryAttempt(network)) throw this.#tooMany();
    if (presented.kind === 'malformed')
      throw this.#refuse('UNAUTHENTICATED', 'the credentials are neither Basic nor Bearer');
    throw this.#refuse('UNAUTHENTICATED', 'the token is not known');
  }

  #verifyPassword(user: string, password: string, network: string): MaybePromise<Identity> {
    const passwords = this.#passwords;
    // All users that there are not share one count, or the table would fill with invented names.
    const limitKey = `${network} ${passwords.isUser(user) ? user : ''}`;
    const joins = passwords.isChecking(user, password);
    if (!joins && !this.#failures.tryAttempt(limitKey)) throw this.#tooMany();
    const giveBack = () => {
      if (!joins) this.#failures.giveBack(limitKey);
    };
    const identity = (): Identity => ({ name: user, level: this.#right(user) ?? this.#options.defaultRight });
    const right = passwords.check(user, password);
    if (right === true) {
      giveBack();
      return identity();
    }
    if (right === 'busy') {
      giveBack();
      throw this.#tooMany();
    }
    return right.then((isRight) => {
      if (!isRight) throw this.#refuse('UNAUTHENTICATED', 'user or password is wrong');
      giveBack();
      return identity();
    });
  }

  #right(name: string): RightLevel | undefined {
    return Object.hasOwn(this.#options.rights, name) ? this.#options.rights[name] : undefined;
  }

  #tooMany(): AccessDeniedError {
    return this.#refuse('RATE_LIMITED', 'too many failed attempts from this address; try again in a minute');
  }

  #refuse(code: AccessDeniedError['code'], message: string): AccessDeniedError {
    this.#options.onRefused?.(code);
    return new AccessDeniedError(code, message);
  }
}

function verb(right: Right): string {
  return right === 'admin' ? 'administer' : right;
}
