import type { IDataObject, INodeProperties } from 'n8n-workflow';

import { readPages } from './pages';
import {
	chatIdField,
	forItem,
	limitField,
	ownKey,
	returnAllField,
	segment,
	shownFor,
	text,
	waitOption,
	type Operation,
} from './parameters';
import { ask } from './request';

const RESOURCE = 'chat';

export const chatProperties: INodeProperties[] = [
	{
		displayName: 'Operation',
		name: 'operation',
		type: 'options',
		noDataExpression: true,
		displayOptions: { show: { resource: [RESOURCE] } },
		options: [
			{
				name: 'Get',
				value: 'get',
				action: 'Get a chat',
				description: 'Get a chat with its last message',
			},
			{ name: 'Get Many', value: 'getAll', action: 'Get many chats' },
			{ name: 'Mark as Read', value: 'markRead', action: 'Mark a chat as read' },
			{
				name: 'Search by Ad',
				value: 'search',
				action: 'Search chats by ad',
				description: 'Get all chats about an ad',
			},
		],
		default: 'getAll',
	},
	{ ...chatIdField, displayOptions: shownFor(RESOURCE, 'get', 'markRead') },
	{
		displayName: 'Ad ID',
		name: 'itemId',
		type: 'string',
		required: true,
		default: '',
		placeholder: 'e.g. 7463793992',
		description: 'Of the trigger: meta.ad_id',
		displayOptions: shownFor(RESOURCE, 'search'),
	},
	{ ...returnAllField, displayOptions: shownFor(RESOURCE, 'getAll') },
	{
		...limitField,
		displayOptions: {
			show: { resource: [RESOURCE], operation: ['getAll'], returnAll: [false] },
		},
	},
	{
		displayName: 'Filters',
		name: 'filters',
		type: 'collection',
		placeholder: 'Add filter',
		default: {},
		displayOptions: shownFor(RESOURCE, 'getAll'),
		options: [
			{
				displayName: 'Ad IDs',
				name: 'itemIds',
				type: 'string',
				default: '',
				placeholder: 'e.g. 7463793992, 7463793993',
				description: 'Only chats about these ads, separated by commas',
			},
			{
				displayName: 'Chat Types',
				name: 'chatTypes',
				type: 'multiOptions',
				options: [
					{ name: 'About an Ad', value: 'u2i' },
					{ name: 'From Avito', value: 'a2u' },
					{ name: 'From a Profile', value: 'u2u' },
				],
				default: ['u2i'],
			},
			{
				displayName: 'Unread Only',
				name: 'unreadOnly',
				type: 'boolean',
				default: true,
				description: 'Whether to return only chats with unread messages',
			},
		],
	},
	{
		displayName: 'Options',
		name: 'options',
		type: 'collection',
		placeholder: 'Add option',
		default: {},
		displayOptions: shownFor(RESOURCE, 'markRead'),
		options: [waitOption],
	},
];

export const chatOperations: Record<string, Operation> = {
	async get(context, item) {
		const answer = await ask(context, {
			path: `/api/chats/${segment(context, 'chatId', item)}`,
			...forItem(context, item),
		});
		return [answer.chat as IDataObject];
	},

	async getAll(context, item) {
		const { itemIds, chatTypes, unreadOnly } = context.getNodeParameter('filters', item, {});
		return await readPages(context, item, {
			path: '/api/chats',
			qs: {
				...(itemIds ? { item_ids: itemIds } : {}),
				...(chatTypes ? { chat_types: (chatTypes as string[]).join(',') } : {}),
				...(unreadOnly ? { unread_only: true } : {}),
			},
			of: 'chats',
		});
	},

	async search(context, item) {
		const answer = await ask(context, {
			path: '/api/chats/search',
			qs: { item_id: text(context, 'itemId', item) },
			...forItem(context, item),
		});
		if (answer.truncated === true) {
			const message = 'The ad has more chats than Avito lists; these are the newest.';
			context.addExecutionHints({ message, location: 'outputPane' });
		}
		return answer.chats as IDataObject[];
	},

	async markRead(context, item) {
		const answer = await ask(context, {
			method: 'POST',
			path: `/api/chats/${segment(context, 'chatId', item)}/read`,
			headers: { 'Idempotency-Key': ownKey(context, item) },
			...forItem(context, item),
		});
		return [answer];
	},
};
