/** What JSON can hold. Cells of a table, inputs and outputs of tools, and data of events are all of this type. */
export type Json = null | boolean | number | string | Json[] | {[key: string]: Json};
