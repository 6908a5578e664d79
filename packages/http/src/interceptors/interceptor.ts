import type { Dispatch, HttpInterceptor } from '../dispatch.js';
import { makingBodies } from '../request-body.js';

/** What interceptors of this package have made; all of these take a body that is a function. */
const ours = new WeakSet<Dispatch>();

/**
 * Types an interceptor of ours as one of undici, whose options don't know of ours. The innermost of several is the one
 * behind which bodies are made, so that whatever repeats a request can repeat its body.
 */
export function interceptor(make: (dispatch: Dispatch) => Dispatch): HttpInterceptor {
  const compose = (inner: Dispatch): Dispatch => {
    const dispatch = make(ours.has(inner) ? inner : makingBodies(inner));
    ours.add(dispatch);
    return dispatch;
  };
  return compose as unknown as HttpInterceptor;
}
