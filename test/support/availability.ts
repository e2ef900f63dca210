import { AsyncSocket } from "asyncsocket";

/** Why tests of the native transport are skipped; false where it is there. */
export const NO_NATIVE: string | false = reason();

function reason(): string | false {
  try {
    const { state } = new AsyncSocket({ transport: "native" });
    return state === "idle" ? false : `it is ${state} from the beginning`;
  } catch (error) {
    return (error as Error).message;
  }
}
