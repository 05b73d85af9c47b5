/** Whole numbers; money in millionths of a US dollar. */
export type Amounts = {readonly tokens: number; readonly costMicros: number; readonly bytes: number};

export type Spend =
	| {
			readonly kind: 'reserve';
			readonly tenant: string;
			/** the hour, day or month it counts for, as ISO 8601 writes it */
			readonly window: string;
			readonly wants: Amounts;
			/** without a number as much as there is */
			readonly limits: Partial<Amounts> & {readonly runs?: number; readonly concurrency?: number};
	  }
	| {readonly kind: 'settle'; readonly tenant: string; readonly used: Amounts};
