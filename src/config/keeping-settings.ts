import {z} from 'zod';
import {count, setting, text} from './setting.ts';

export const trustedProxies = setting(
	z.array(text).default([]),
	'addresses of proxies in front of the server; only what they say of where a request came from goes on record',
	{env: 'WRIT_TRUSTED_PROXIES'},
);

export const retentionMinutes = setting(
	count(0, 10_080, 60),
	'how often content whose time is over by the policy is looked for and erased; 0 leaves it to `writ retention run`',
	{env: 'WRIT_RETENTION_MINUTES', unit: 'min'},
);
