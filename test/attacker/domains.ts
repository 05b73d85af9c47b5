import type {Domain} from './domain.ts';
import {bank} from './domains/bank.ts';
import {chat} from './domains/chat.ts';
import {office} from './domains/office.ts';
import {servers} from './domains/servers.ts';
import {shop} from './domains/shop.ts';

export const DOMAINS: readonly Domain[] = [office, bank, shop, servers, chat];
