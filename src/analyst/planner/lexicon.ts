/** What English words mean to a planner that knows no dataset: synonyms, functions, comparisons, and words that say nothing. */
import type {AggregateFunc, FilterOp} from '#contract/query-plan.ts';

/** Words of one line may stand for each other in names of columns and tables and in values. */
const SYNONYMS: readonly string[] = [
	'csat satisfaction',
	'temperature temp',
	'humidity moisture',
	'population pop inhabitants',
	'precipitation rainfall',
	'quantity qty units',
	'amount total value',
	'cost spend spent spending expense expenses expenditure',
	'customer client buyer shopper',
	'country nation',
	'location place',
	'weight mass heavy',
	'sex gender',
	'genre genres',
	'movie film',
	'director directors directed',
	'gross grossing grossed boxoffice',
	'death dead died killed fatality fatalities casualties',
	'average avg mean',
	'maximum max',
	'minimum min',
	'percent pct percentage',
	'number no num',
	'hour hr hours',
	'meet met',
	'vehicle car automobile',
	'symbol ticker',
	'beak bill culmen',
	'stock inventory',
	'expectancy expect',
	'category categories',
	'stars star',
	'manufacturer maker',
	'created opened raised submitted filed',
];

const CONCEPTS: ReadonlyMap<string, string> = new Map(
	SYNONYMS.flatMap((line) => {
		const words = line.split(' ');
		return words.map((word) => [word, words[0] ?? word] as const);
	}),
);

/** One word for all that mean the same. */
export function conceptOf(stem: string): string {
	return CONCEPTS.get(stem) ?? stem;
}

/** Says that money went somewhere; which column holds it is for descriptions to say. */
export function isMoneyWord(word: string): boolean {
	return conceptOf(word) === 'cost';
}

/** Words inside names that add nothing to tell columns apart: units, and marks of keys, flags and moments. */
export const SILENT_NAME_WORDS: ReadonlySet<string> = new Set(
	'id at is has flag c f pct percent mm cm m s g kg lb lbs hpa usd eur hr hour hours minute minutes sec second seconds day days of in the and per for a to'.split(
		' ',
	),
);

/** Words that several columns tend to share; alone they name a column only when no other has them. */
export const WEAK_NAME_WORDS: ReadonlySet<string> = new Set(
	'name type score level code number date time count value min'.split(' '),
);

/** Words that say nothing about which data is meant. */
export const FILLERS: ReadonlySet<string> = new Set(
	`a an the this these those there here it its they them their our we us my me i you your he she
	of in for from at on to with within during among amongst as into up off through throughout
	is are was were be been being am do does did done has have had having get gets got will would can could should may might
	that who whom whose where when and also please kindly just so then now still currently yet already overall altogether ever all any both
	tell find know want need like see look looks help question answer let lets
	happen happens happened occur occurs occurred take takes took place placed exist exists existing appear appears come comes came
	record records recorded log logged report reported register registered measure measured observe observed contain contains contained
	include includes included including involve involves involved involving cover covers covered
	make makes made give gives gave given receive receives received bring brings brought handle handles handled
	go goes went belong belongs fall falls fell found use uses used show shows shown be
	data dataset database table entire whole available various certain particular respective respectively
	level levels value values figure figures number numbers case cases
	according respect terms term relation regarding concerning based about
	many how compared compare relative
	? ! . , : ( ) [ ] ' " “ ” ’ / & # * + - – — …`
		.split(/\s+/)
		.filter((word) => word !== ''),
);

/** Words for a row of a table whose own name says nothing. */
export const ROW_WORDS: ReadonlySet<string> = new Set('row record entry observation datapoint instance sample'.split(' '));

type Direction = 'asc' | 'desc';

/** What a keyword makes of the words after it. */
export type Keyword =
	| {readonly kind: 'func'; readonly func: AggregateFunc; readonly p?: number}
	| {
			readonly kind:
				| 'count'
				| 'distinct'
				| 'by'
				| 'not'
				| 'missing'
				| 'none'
				| 'present'
				| 'and'
				| 'or'
				| 'show'
				| 'which'
				| 'share'
				| 'spread'
				| 'between'
				| 'trend'
				| 'open'
				| 'revenue'
				| 'when';
	  }
	| {readonly kind: 'top'; readonly direction: Direction}
	/** `concept`: what the adjective measures; `often`: how many rows there are */
	| {readonly kind: 'superlative'; readonly direction: Direction; readonly concept?: string}
	| {readonly kind: 'compare'; readonly op: FilterOp}
	| {readonly kind: 'sorted'; readonly direction: Direction | null}
	| {readonly kind: 'role'; readonly role: string};

const KEYWORDS: Readonly<Record<string, Keyword>> = {
	...words({kind: 'func', func: 'avg'}, 'average,avg,mean,on average,typical'),
	...words({kind: 'func', func: 'sum'}, 'sum,sum of,total,overall total,combined,sum up'),
	...words({kind: 'func', func: 'median'}, 'median'),
	...words({kind: 'func', func: 'min'}, 'minimum,min'),
	...words({kind: 'func', func: 'max'}, 'maximum,max,peak'),
	...words({kind: 'func', func: 'stddev'}, 'standard deviation,stddev,std dev,std'),
	...words(
		{kind: 'count'},
		'how many,number of,count of,count,total number of,total count of,amount of times,counts,how many times,number of times',
	),
	...words({kind: 'distinct'}, 'distinct,different,unique'),
	...words(
		{kind: 'by'},
		'by,per,for each,in each,at each,of each,on each,from each,with each,each,every,for every,across,across all,grouped by,group by,broken down by,split by,by each,for all,within each',
	),
	...words(
		{kind: 'not'},
		'not,no,without,except,except for,excluding,exclude,other than,apart from,isnt,arent,wasnt,werent,didnt,doesnt,dont,never,non,missed,misses,miss,failed,fails,fail,breached,breach,violated,didnt meet,did not meet,not meet,not met,lacking,lack,hasnt,havent',
	),
	...words({kind: 'missing'}, 'missing,null,empty,blank,unset,not recorded,not known,unknown'),
	...words({kind: 'none'}, 'out of,run out of,ran out of'),
	...words({kind: 'present'}, 'not null,not missing,not empty,non null,non empty,filled'),
	...words({kind: 'and'}, 'and,as well as,plus,vs,versus,compared with,compared to,as opposed to'),
	...words({kind: 'or'}, 'or'),
	...words(
		{kind: 'show'},
		'show,list,display,show me,give me,list all,show all,find all,what are,which are,get me,return,fetch,how much,find out',
	),
	...words({kind: 'which'}, 'which,what,who,whats'),
	...words({kind: 'when'}, 'when was,when were,when did,when is,on what date,on which date'),
	...words(
		{kind: 'share'},
		'share,share of,percentage,percentage of,percent of,proportion,proportion of,fraction,fraction of,what percent,rate,rates,compliance,compliance rate,how often,ratio of',
	),
	...words({kind: 'spread'}, 'distribution,distribution of,distributed,breakdown,breakdown of,split,histogram of'),
	...words(
		{kind: 'trend'},
		'over time,trend,trend of,trends,trend in,develop,developed,development of,evolution of,evolve,evolved,changed over time,change over time,time series',
	),
	...words({kind: 'revenue'}, 'revenue,sales revenue,turnover,revenues,sales,net revenue,net sales'),
	...words({kind: 'between'}, 'between'),
	...words(
		{kind: 'compare', op: '>'},
		'>,more than,greater than,over,above,higher than,larger than,bigger than,exceeding,exceeds,exceed,exceeded,longer than,heavier than,older than,faster than,beyond,in excess of,upwards of',
	),
	...words(
		{kind: 'compare', op: '<'},
		'<,less than,fewer than,under,below,lower than,smaller than,shorter than,lighter than,younger than,slower than,cheaper than',
	),
	...words({kind: 'compare', op: '>='}, '>=,at least,no less than,not less than,minimum of,or more,no fewer than,not below'),
	...words(
		{kind: 'compare', op: '<='},
		'<=,at most,no more than,not more than,up to,maximum of,or less,or fewer,not above,not over',
	),
	...words({kind: 'compare', op: '='}, '=,equal to,equals,exactly,equal'),
	...words({kind: 'compare', op: '!='}, '!=,<>,not equal to,different from'),
	...words({kind: 'top', direction: 'desc'}, 'top,top most'),
	...words({kind: 'top', direction: 'asc'}, 'bottom'),
	...words({kind: 'superlative', direction: 'desc'}, 'highest,most,greatest,best,the most,biggest,largest,maximal,leading'),
	...words({kind: 'superlative', direction: 'asc'}, 'lowest,least,fewest,worst,smallest,minimal'),
	...words(
		{kind: 'superlative', direction: 'desc', concept: 'often'},
		'most often,most frequently,most frequent,most common,most commonly,most popular,busiest,most active',
	),
	...words(
		{kind: 'superlative', direction: 'asc', concept: 'often'},
		'least often,least frequent,least common,rarest,least popular',
	),
	...words({kind: 'superlative', direction: 'asc', concept: 'moment'}, 'oldest,earliest,first'),
	...words({kind: 'superlative', direction: 'desc', concept: 'moment'}, 'newest,latest,most recent,most recently,recent,last'),
	...words({kind: 'superlative', direction: 'desc', concept: 'duration'}, 'longest,the longest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'duration'}, 'shortest,the shortest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'price'}, 'most expensive,priciest,costliest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'price'}, 'cheapest,least expensive'),
	...words({kind: 'superlative', direction: 'desc', concept: 'temperature'}, 'hottest,warmest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'temperature'}, 'coldest,coolest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'precipitation'}, 'wettest,rainiest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'precipitation'}, 'driest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'wind'}, 'windiest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'weight'}, 'heaviest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'weight'}, 'lightest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'speed'}, 'fastest'),
	...words({kind: 'superlative', direction: 'asc', concept: 'speed'}, 'slowest'),
	...words({kind: 'superlative', direction: 'desc', concept: 'death'}, 'deadliest,most deadly'),
	...words({kind: 'superlative', direction: 'desc', concept: 'population'}, 'most populous,most populated'),
	...words({kind: 'superlative', direction: 'asc', concept: 'population'}, 'least populous,least populated'),
	...words({kind: 'sorted', direction: null}, 'sorted by,ordered by,order by,sort by,ranked by,rank by,ranking of,ranking'),
	...words(
		{kind: 'sorted', direction: 'desc'},
		'descending,highest first,largest first,most first,slowest first,longest first,biggest first,worst first,in descending order,desc,newest first,latest first',
	),
	...words(
		{kind: 'sorted', direction: 'asc'},
		'ascending,lowest first,smallest first,fastest first,shortest first,least first,in ascending order,asc,oldest first,earliest first',
	),
};

function words(keyword: Keyword, phrases: string): Record<string, Keyword> {
	return Object.fromEntries(phrases.split(',').map((phrase) => [phrase, keyword]));
}

const BY_PHRASE: ReadonlyMap<string, Keyword> = new Map(Object.entries(KEYWORDS));
const LONGEST = Math.max(...Object.keys(KEYWORDS).map((phrase) => phrase.split(' ').length));

/** The longest keyword at the beginning of `lower`, and how many words it takes. */
export function findKeyword(lower: readonly string[]): {readonly keyword: Keyword; readonly length: number} | null {
	for (let length = Math.min(LONGEST, lower.length); length > 0; length -= 1) {
		const keyword = BY_PHRASE.get(lower.slice(0, length).join(' '));
		if (keyword) return {keyword, length};
	}
	return null;
}

/** Quantities that add up over rows; of all others a sum means little. */
export const ADDITIVE: ReadonlySet<string> = new Set(
	'amount total cost revenue sale quantity gross death count vote budget receipt precipitation units volume passenger profit income tax fee spend damage injury'.split(
		' ',
	),
);
